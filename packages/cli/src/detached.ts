import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, fstatSync, mkdirSync, openSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { dirname } from 'node:path';

import { MillpoolError } from '@millpool/protocol';
import type { ErrorCode } from '@millpool/protocol';

const deadlineSeconds = 60;
/** What an exit code of `up` says of the error behind it (docs/commands.md); others say nothing. */
const codeOfExit: { readonly [exit: number]: ErrorCode } = { 2: 'invalid', 4: 'not-found', 6: 'refused' };

export interface Detached {
  readonly pid: number;
  readonly socket: string;
  readonly log: string;
}

/** Where a detached daemon writes what it says, its log too unless that has a file of its own. */
export function logOfDetached(socket: string): string {
  return `${socket}.log`;
}

/** What `up` tells whoever started it with a channel, once it serves all that it was asked to. */
export const readyMessage = 'ready';

/** Starts this same command line again without `--detach`, in a session of its own, and returns when it is up. */
export async function startDetached(socket: string, signal: AbortSignal): Promise<Detached> {
  const log = logOfDetached(socket);
  mkdirSync(dirname(socket), { recursive: true });
  const descriptor = openSync(log, 'a');
  const { size: writtenBefore } = fstatSync(descriptor);
  const args = process.argv.slice(1).filter((argument) => argument !== '--detach');
  const child = spawn(process.execPath, args, { detached: true, stdio: ['ignore', descriptor, descriptor, 'ipc'] });
  closeSync(descriptor);
  const deadline = AbortSignal.timeout(deadlineSeconds * 1000);
  const over = { signal: AbortSignal.any([signal, deadline]) };
  const ended = once(child, 'exit', over).then(([code]) => Number(code ?? 1));
  const ready = once(child, 'message', over).then(() => null);
  try {
    const exit = await Promise.race([ready, ended]);
    if (exit !== null) throw lastWords((await readFile(log)).subarray(writtenBefore).toString(), exit, log);
  } catch (error) {
    child.kill();
    signal.throwIfAborted();
    if (!deadline.aborted) throw error;
    throw new MillpoolError({
      code: 'timeout',
      message: `Waited ${deadlineSeconds} s for the daemon to be up on ${socket}.`,
      remedy: `Look at its log, ${log}.`,
    });
  } finally {
    // Nobody waits for the other one any more, however it ends.
    void Promise.allSettled([ready, ended]);
    if (child.connected) child.disconnect();
    child.unref();
  }
  return { pid: child.pid ?? -1, socket, log };
}

/** Why the daemon ended before it answered: what it wrote last. */
function lastWords(written: string, exit: number, log: string): MillpoolError {
  const lines = written.trimEnd().split('\n').slice(-2);
  const sentences = lines.map((line) =>
    line
      .replace(/^millpool: /, '')
      .trim()
      .replace(/(?<![.!?}])$/, '.'),
  );
  const words = sentences.join(' ');
  return new MillpoolError({
    code: codeOfExit[exit] ?? 'internal',
    message: `The daemon ended before it answered: ${words}`,
    remedy: `Its whole log is ${log}.`,
  });
}
