import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

const run = promisify(execFile);
const outputBytesMax = 64 << 20;

/** A tool of this machine ended in another way than well, or there is none. One line, which says what it said. */
export class ToolError extends Error {
  override readonly name = 'ToolError';
}

export interface ToolOptions {
  readonly timeoutMs: number;
  readonly directory?: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal;
}

/** What a program printed, once it ended well. */
export async function runTool(program: string, args: readonly string[], options: ToolOptions): Promise<string> {
  const { timeoutMs, directory, env, signal } = options;
  try {
    const { stdout } = await run(program, args, {
      timeout: timeoutMs,
      killSignal: 'SIGKILL',
      maxBuffer: outputBytesMax,
      env: { ...process.env, ...env },
      ...(directory === undefined ? {} : { cwd: directory }),
      ...(signal === undefined ? {} : { signal }),
    });
    return stdout;
  } catch (thrown) {
    signal?.throwIfAborted();
    throw new ToolError(`${program} ${args[0] ?? ''}: ${reasonOf(thrown, timeoutMs)}`, { cause: thrown });
  }
}

function reasonOf(thrown: unknown, timeoutMs: number): string {
  if (!(thrown instanceof Error)) return String(thrown);
  if ('code' in thrown && thrown.code === 'ENOENT') return 'there is no such program';
  if ('killed' in thrown && thrown.killed === true) return `it did not end within ${timeoutMs / 1000} s`;
  const stderr = 'stderr' in thrown && typeof thrown.stderr === 'string' ? thrown.stderr.trim() : '';
  return stderr.split('\n').at(-1) || thrown.message;
}
