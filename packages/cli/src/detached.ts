import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, mkdirSync, openSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import { MillpoolError } from '@millpool/protocol';

import type { Session } from './session.ts';

const deadlineSeconds = 60;

export interface Detached {
  readonly pid: number;
  readonly socket: string;
  readonly log: string;
}

/** Where a detached daemon writes what it says, its log too unless that has a file of its own. */
export function logOfDetached(socket: string): string {
  return `${socket}.log`;
}

/** Starts this same command line again without `--detach`, in a session of its own, and returns when it answers. */
export async function startDetached(socket: string, session: Session, signal: AbortSignal): Promise<Detached> {
  const log = logOfDetached(socket);
  mkdirSync(dirname(socket), { recursive: true });
  const descriptor = openSync(log, 'a');
  const args = process.argv.slice(1).filter((argument) => argument !== '--detach');
  const child = spawn(process.execPath, args, { detached: true, stdio: ['ignore', descriptor, descriptor] });
  closeSync(descriptor);
  const ended = once(child, 'exit').then(() => true);
  const deadlineMs = performance.now() + deadlineSeconds * 1000;
  for (;;) {
    signal.throwIfAborted();
    const answered = await session.call('status', {}, { signal, timeoutSeconds: 5 }).catch(() => null);
    if (answered?.pid === child.pid) break;
    if (await Promise.race([ended, sleep(100, false)])) throw await lastWords(log);
    if (performance.now() > deadlineMs) {
      child.kill();
      throw new MillpoolError({
        code: 'timeout',
        message: `Waited ${deadlineSeconds} s for the daemon to answer on ${socket}.`,
        remedy: `Look at its log, ${log}.`,
      });
    }
  }
  child.unref();
  return { pid: child.pid ?? -1, socket, log };
}

/** Why the daemon ended before it answered: what it wrote last. */
async function lastWords(log: string): Promise<MillpoolError> {
  const lines = (await readFile(log, 'utf8')).trimEnd().split('\n');
  return new MillpoolError({
    code: 'internal',
    message: `The daemon ended before it answered: ${lines.slice(-3).join(' ')}`,
    remedy: `Its whole log is ${log}.`,
  });
}
