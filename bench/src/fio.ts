import { execFile } from 'node:child_process';
import { readdir, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';

import type { Contender, Lap } from './pairs.ts';

const run = promisify(execFile);
const lapTimeoutMs = 5 * 60_000;
const tmpfsMagic = 0x0102_1994;

/** A way for fio to keep a device busy. */
export interface FioMethod {
  readonly engine: 'io_uring' | 'libaio' | 'psync';
  readonly depth: number;
  readonly threads: number;
}

/** Deep queues by one thread, and many threads with one read each. */
export const fioMethods: readonly FioMethod[] = [
  ...[8, 32, 128].map((depth) => ({ engine: 'io_uring' as const, depth, threads: 1 })),
  ...[8, 32, 128].map((depth) => ({ engine: 'libaio' as const, depth, threads: 1 })),
  { engine: 'io_uring', depth: 32, threads: 2 },
  ...[4, 16, 64].map((threads) => ({ engine: 'psync' as const, depth: 1, threads })),
];

export function nameOf({ engine, depth, threads }: FioMethod): string {
  return `${engine}, ${threads === 1 ? '' : `${threads} threads of `}depth ${depth}`;
}

/** Why fio cannot read the device that holds a directory, in one line; null where it can. */
export async function whyNoFio(directory: string): Promise<string | null> {
  try {
    await run('fio', ['--version'], { timeout: lapTimeoutMs });
  } catch {
    return 'fio is not installed (in Debian: apt-get install fio)';
  }
  const { type } = await statfs(directory);
  return type === tmpfsMagic ? `${directory} is memory, no device: set TMPDIR to a directory on one` : null;
}

/** Blocks of one size, packed into the files of a directory. */
export interface PackedBlocks {
  readonly directory: string;
  readonly count: number;
  readonly sizeBytes: number;
}

/** Random O_DIRECT reads by fio, as many as there are blocks; one thread reads each of them once a lap. */
export async function fioReads(blocks: PackedBlocks, method: FioMethod, signal: AbortSignal): Promise<Contender> {
  const names = await readdir(blocks.directory);
  const { engine, depth, threads } = method;
  const args = [
    '--name=lap',
    `--filename=${names.map((name) => join(blocks.directory, name)).join(':')}`,
    '--rw=randread',
    '--direct=1',
    `--bs=${blocks.sizeBytes}`,
    `--ioengine=${engine}`,
    `--iodepth=${depth}`,
    '--thread',
    `--numjobs=${threads}`,
    `--io_size=${Math.ceil(blocks.count / threads) * blocks.sizeBytes}`,
    '--group_reporting',
    '--output-format=json',
  ];
  return {
    lap: async (number) => {
      const seeded = [...args, `--randseed=${number + 1}`];
      const { stdout } = await run('fio', seeded, { timeout: lapTimeoutMs, signal });
      return lapOf(stdout);
    },
  };
}

/** What fio says of its one group of jobs; percentages are of the threads' running time, added up. */
export function lapOf(report: string): Lap {
  const { jobs = [] } = JSON.parse(report) as FioReport;
  const [job] = jobs;
  if (job === undefined || job.error !== 0) throw new Error(`fio did not read: ${report.slice(0, 400)}`);
  const { read, usr_cpu: user, sys_cpu: system, job_runtime: runtimeMs } = job;
  return {
    samples: read.total_ios,
    seconds: read.runtime / 1000,
    cpuSeconds: (((user + system) / 100) * runtimeMs) / 1000,
  };
}

interface FioReport {
  readonly jobs?: readonly {
    readonly error: number;
    readonly usr_cpu: number;
    readonly sys_cpu: number;
    readonly job_runtime: number;
    readonly read: { readonly total_ios: number; readonly runtime: number };
  }[];
}
