import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { connect } from '@millpool/client';
import type { Mill } from '@millpool/client';
import { MillpoolNode } from '@millpool/test/harness';

import { BareLists } from '../bare-lists.ts';
import { cpuSecondsOf } from '../cpu-time.ts';
import type { Beside, Figure } from '../figure.ts';
import { bucketOf, environmentFor, ObjectServer } from '../object-server.ts';
import { comparePairs } from '../pairs.ts';
import type { Contender, Lap } from '../pairs.ts';
import { memoryBytesOf } from '../process-memory.ts';

const id = 'list-1m';
const goal = 0.8;
const pairs = 5;
const objects = { count: 1_000_000, sizeBytes: 1024, flat: true };
const source = `s3://${bucketOf(objects)}/data`;
const path = '/data';
const rangesChoices = [1, 2, 4, 8, 16, 32];
const timeoutSeconds = 600;

export const list1m: Figure = {
  id,
  measures: 'import of a directory of a million objects into a new node ÷ bare parallel LISTs by the same client',
  async *measure(bench) {
    await using server = await ObjectServer.start('127.0.0.1');
    const env = environmentFor(server.endpoint);
    await using lists = await BareLists.start(objects, rangesChoices, env, bench);
    const ours: Contender = { lap: () => withNode(env, async ({ node, mill }) => importLap(node, mill)) };
    const compared = await comparePairs(ours, lists, { pairs, ...bench });
    yield {
      id,
      variant: 'flat, 1 M keys',
      ...compared,
      referenceName:
        `LISTs of ${lists.ranges} equal ranges at once (best of ${rangesChoices.join(', ')}), ` +
        'by the same requests and parser, nothing kept',
      unit: 'entries/s',
      goal,
      higherIsBetter: true,
      beside: await withNode(env, measureWarm),
    };
  },
};

interface Imported {
  readonly directory: string;
  readonly node: MillpoolNode;
  readonly mill: Mill;
}

async function withNode<Of>(
  env: Readonly<Record<string, string>>,
  use: (imported: Imported) => Promise<Of>,
): Promise<Of> {
  const directory = await mkdtemp(join(tmpdir(), 'millpool-bench-'));
  const node = await MillpoolNode.start({ directory, sources: [source], args: ['--at', path], env });
  try {
    const mill = await connect({ socket: node.socket, timeoutSeconds });
    try {
      return await use({ directory, node, mill });
    } finally {
      await mill.close();
    }
  } finally {
    await node.stop();
    await rm(directory, { recursive: true, force: true, maxRetries: 3 });
  }
}

/** The first entry of a sorted listing comes when the directory has been imported. */
async function importLap(node: MillpoolNode, mill: Mill): Promise<Lap> {
  const cpuBefore = await cpuSecondsOf(node.pid);
  const startMs = performance.now();
  await firstOf(mill);
  const seconds = (performance.now() - startMs) / 1000;
  return { samples: objects.count, seconds, cpuSeconds: (await cpuSecondsOf(node.pid)) - cpuBefore };
}

async function firstOf(mill: Mill): Promise<void> {
  for await (const first of mill.list(path)) return void first;
}

/** The sorted list of what was imported, through the SDK, and what an entry costs. */
async function measureWarm({ directory, node, mill }: Imported): Promise<readonly Beside[]> {
  const memoryBefore = await memoryBytesOf(node.pid);
  await importLap(node, mill);
  const store = await stat(join(directory, 'state', 'metadata', 'namespace.mdb'));
  const memoryAfter = await memoryBytesOf(node.pid);
  const startMs = performance.now();
  await firstOf(mill);
  const firstMs = performance.now() - startMs;
  let listed = 0;
  for await (const entry of mill.list(path)) listed += entry.type === 'file' ? 1 : 0;
  if (listed !== objects.count) throw new Error(`${listed} entries were listed`);
  const seconds = (performance.now() - startMs - firstMs) / 1000;
  return [
    { name: 'sorted list, warm', value: listed / seconds, unit: 'entries/s' },
    { name: 'first entry of it', value: firstMs, unit: 'ms' },
    {
      name: 'memory that the import left in use',
      value: (memoryAfter - memoryBefore) / listed,
      unit: 'bytes an entry',
    },
    { name: 'store on disk', value: store.size / listed, unit: 'bytes an entry' },
  ];
}
