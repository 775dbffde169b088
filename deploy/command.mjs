import { spawn } from 'node:child_process';

/** Process groups that are ours to end when this process is told to. */
const groups = new Set();

for (const [signal, exitCode] of [
  ['SIGINT', 130],
  ['SIGTERM', 143],
]) {
  process.on(signal, () => {
    for (const pid of groups) killGroup(pid, 'SIGTERM');
    if (groups.size > 0) process.exit(exitCode);
  });
}

function killGroup(pid, signal) {
  try {
    process.kill(-pid, signal);
  } catch {
    // The group has ended by itself.
  }
}

/**
 * Runs a program to its end in a process group of its own, so that its children end with it at the limit.
 * `onLine` gets each line of stdout and stderr; without it both go to our stderr.
 * @returns {Promise<{code: number | null, timedOut: boolean}>} code is null when a signal ended it.
 */
export function run(program, args, { cwd, env = {}, limitSeconds, onLine } = {}) {
  return new Promise((resolve, reject) => {
    const output = onLine === undefined ? 2 : 'pipe';
    const child = spawn(program, args, {
      cwd,
      env: { ...process.env, ...env },
      stdio: ['ignore', output, output],
      detached: true,
    });
    let timedOut = false;
    const timer =
      limitSeconds === undefined
        ? null
        : setTimeout(() => {
            timedOut = true;
            killGroup(child.pid, 'SIGKILL');
          }, limitSeconds * 1000);
    if (child.pid !== undefined) groups.add(child.pid);
    if (onLine !== undefined) for (const stream of [child.stdout, child.stderr]) splitLines(stream, onLine);
    const finish = (settle) => {
      clearTimeout(timer);
      groups.delete(child.pid);
      settle();
    };
    child.once('error', (error) => finish(() => reject(error)));
    child.once('close', (code) => finish(() => resolve({ code, timedOut })));
  });
}

function splitLines(stream, onLine) {
  let rest = '';
  stream.setEncoding('utf8');
  stream.on('data', (text) => {
    const lines = (rest + text).split('\n');
    rest = lines.pop();
    for (const line of lines) onLine(line);
  });
  stream.on('end', () => {
    if (rest !== '') onLine(rest);
  });
}

/** Runs a program on our own terminal, in our own group (Ctrl-C reaches it), and ends as it ended. */
export function become(program, args) {
  const child = spawn(program, args, { stdio: 'inherit' });
  process.removeAllListeners('SIGINT');
  process.removeAllListeners('SIGTERM');
  process.on('SIGINT', () => {});
  process.on('SIGTERM', () => child.kill('SIGTERM'));
  child.once('error', (error) => {
    process.stderr.write(`millpool: ${program} cannot be run: ${error.message}\n`);
    process.exitCode = 1;
  });
  child.once('close', (code, signal) => {
    process.exitCode = code ?? (signal === 'SIGINT' ? 130 : 1);
  });
}
