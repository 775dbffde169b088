import { execFile } from 'node:child_process';
import { cpus, release, totalmem } from 'node:os';
import { promisify } from 'node:util';

import { repository } from './bench-program.ts';

const run = promisify(execFile);

/** Where figures were taken: ratios travel, rates do not. */
export interface Machine {
  readonly cpus: number;
  readonly model: string;
  readonly memoryBytes: number;
  readonly kernel: string;
  readonly node: string;
  readonly rust: string;
}

export async function describeMachine(): Promise<Machine> {
  const [first] = cpus();
  return {
    cpus: cpus().length,
    model: first?.model ?? 'unknown',
    memoryBytes: totalmem(),
    kernel: release(),
    node: process.version,
    rust: await said('rustc', ['--version']),
  };
}

/** Of the code that was measured; `-dirty` where it was not what is committed. */
export function commit(): Promise<string> {
  return said('git', ['describe', '--always', '--dirty', '--abbrev=12', '--exclude=*']);
}

async function said(program: string, args: readonly string[]): Promise<string> {
  try {
    const { stdout } = await run(program, args, { cwd: repository });
    return stdout.trim();
  } catch {
    return 'unknown';
  }
}
