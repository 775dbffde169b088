import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

import { systemClock, withDeadline } from '@millpool/host';
import { MillpoolError } from '@millpool/protocol';

/** Of a data directory; `native/core/src/device.rs` makes it. */
export const lockName = 'lock';
const takeTimeoutMs = 10_000;
/** Of flock(1), util-linux's and busybox's alike. */
const conflictExit = 1;

/** Ends the lock. */
export type Unlock = () => Promise<void>;

/**
 * Takes the lock of a data directory, which must be there, as a daemon does. It is held by a process that runs until
 * its input is closed, so it ends with this process: Node.js itself has no flock. `exists` while a daemon has it.
 */
export async function lockDirectory(directory: string): Promise<Unlock> {
  const path = join(directory, lockName);
  // The word says that the lock is held: a conflict ends before it.
  const holder = spawn('flock', ['-n', path, 'sh', '-c', 'echo held; exec cat'], { stdio: 'pipe' });
  const ended = once(holder, 'close');
  ended.catch(() => undefined);
  let said = '';
  holder.stderr.setEncoding('utf8').on('data', (text: string) => (said += text));
  const held = once(holder.stdout, 'data').then(() => true);
  const wait = { name: `the lock ${path}`, timeoutMs: takeTimeoutMs, clock: systemClock };
  try {
    const isHeld = await withDeadline(wait, () => Promise.race([held, ended.then(() => false)]));
    if (!isHeld) throw await refusal(directory, holder.exitCode, said);
  } catch (error) {
    holder.kill();
    throw (error as NodeJS.ErrnoException).code === 'ENOENT' ? noFlock(error) : error;
  }
  return async () => {
    holder.stdin.end();
    await ended;
  };
}

async function refusal(directory: string, exit: number | null, said: string): Promise<MillpoolError> {
  const path = join(directory, lockName);
  if (exit === conflictExit && said === '') {
    const pid = (await readFile(path, 'utf8').catch(() => '')).trim();
    return new MillpoolError({
      code: 'exists',
      message: `${directory} is in use by ${/^\d+$/.test(pid) ? `process ${pid}` : 'a daemon'}.`,
      remedy: 'Stop it with `millpool down`, then ask again.',
      path: directory,
    });
  }
  return new MillpoolError({
    code: 'refused',
    message: `The lock ${path} cannot be taken: ${said.trim()}`,
    remedy: 'Run as the user who started the daemon.',
    path,
  });
}

function noFlock(cause: unknown): MillpoolError {
  const message = 'Whether a daemon runs cannot be told: there is no program flock on this machine.';
  const remedy = 'Install util-linux, which has it.';
  return new MillpoolError({ code: 'unsupported', message, remedy }, { cause });
}
