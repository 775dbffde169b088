import { execFile } from 'node:child_process';
import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

import { MillpoolNode } from '@millpool/test/harness';
import { connectTransport } from '@millpool/transport';

import { benchProgram } from '../bench-program.ts';
import type { Figure } from '../figure.ts';
import { bucketOf, environmentFor, keyOf, ObjectServer } from '../object-server.ts';
import { comparison } from '../pairs.ts';

const id = 'md-restart';
const goal = 1;
const allowedSeconds = 5;
const objects = { count: 10_000_000, sizeBytes: 1_024 };
const perDirectory = 1_000;
const directoriesAtOnce = 16;
const lookUps = 10_000;
const namesAQuestion = 256;
const starts = 5;
const timeoutSeconds = 600;
const root = '/data';
const uncache = promisify(execFile);

/** A node that knows ten million entries starts with nothing of them in memory, and is asked for ten thousand. */
export const mdRestart: Figure = {
  id,
  measures: '5 s ÷ from the start of a node with 10 M entries to 10,000 random look-ups, nothing in the page cache',
  async *measure(bench) {
    const directory = await mkdtemp(join(tmpdir(), 'millpool-bench-'));
    await using server = await ObjectServer.start('127.0.0.1');
    const env = { ...environmentFor(server.endpoint), MILLPOOL_FRESHNESS: 'immutable' };
    const sources = [`s3://${bucketOf(objects)}${root}`];
    const start = (): Promise<MillpoolNode> => MillpoolNode.start({ directory, sources, args: ['--at', root], env });
    let node = await start();
    try {
      bench.say(`listing ${objects.count} objects`);
      await listAll(node, bench.signal);
      const store = join(directory, 'state', 'metadata', 'namespace.mdb');
      const seconds: number[] = [];
      while (seconds.length < starts) {
        bench.signal.throwIfAborted();
        await node.stop();
        await uncache(benchProgram, ['uncache', directory]);
        const startMs = performance.now();
        node = await start();
        await lookUp(node, seconds.length);
        seconds.push((performance.now() - startMs) / 1000);
        bench.say(`start ${seconds.length}: ${(seconds.at(-1) ?? 0).toFixed(2)} s`);
      }
      yield {
        ...{ id, variant: '10 M entries', unit: 's', goal, higherIsBetter: true },
        ...comparison(
          seconds.map(() => allowedSeconds),
          seconds,
        ),
        referenceName: `until ${lookUps} names drawn of all are answered, ${namesAQuestion} a question`,
        beside: [{ name: 'store on disk', value: (await stat(store)).size / objects.count, unit: 'bytes an entry' }],
      };
    } finally {
      await node.stop();
      await rm(directory, { recursive: true, force: true, maxRetries: 3 });
    }
  },
};

async function listAll(node: MillpoolNode, signal: AbortSignal): Promise<void> {
  const connection = await connectTransport(`${node.socket}.control`);
  let next = 0;
  const go = async (): Promise<void> => {
    for (let at = next; at < objects.count; at = next) {
      signal.throwIfAborted();
      next += perDirectory;
      const path = pathOf(at).slice(0, pathOf(at).lastIndexOf('/'));
      await connection.call('list', { path, recursive: false, cursor: null, limit: 1 }, { timeoutSeconds });
    }
  };
  await Promise.all(Array.from({ length: directoriesAtOnce }, go));
  await connection.close();
}

async function lookUp(node: MillpoolNode, number: number): Promise<void> {
  const connection = await connectTransport(`${node.socket}.control`);
  for (let first = 0; first < lookUps; first += namesAQuestion) {
    // A step that has no factor with the number of objects: all over them, others in each round.
    const paths = Array.from({ length: Math.min(namesAQuestion, lookUps - first) }, (_, at) =>
      pathOf(((first + at + 1) * 7_368_787 + number * 104_729) % objects.count),
    );
    const { results } = await connection.call('stat', { paths }, { timeoutSeconds });
    results.forEach((result, at) => {
      if ('error' in result || result.path !== paths[at]) throw new Error(`${paths[at] ?? ''} was not found`);
    });
  }
  await connection.close();
}

function pathOf(at: number): string {
  return `/${keyOf(at)}`;
}
