import { join } from 'node:path';

import { unpackEntries } from '@millpool/protocol';
import type { ListReply } from '@millpool/protocol';
import { ClusterBed, ensureEtcd } from '@millpool/test/harness';
import { connectTransport } from '@millpool/transport';
import type { TransportConnection } from '@millpool/transport';

import { BareLists } from '../bare-lists.ts';
import { lapProgram } from '../bench-program.ts';
import { cpuSecondsOf } from '../cpu-time.ts';
import type { Bench, Beside, Figure, Outcome } from '../figure.ts';
import { LineProcess, lapsOf } from '../line-process.ts';
import { bucketOf, environmentFor, keyOf, ObjectServer } from '../object-server.ts';
import { comparePairs } from '../pairs.ts';
import type { Contender, Lap } from '../pairs.ts';
import { memoryBytesOf } from '../process-memory.ts';

const owners = ['meta-1', 'meta-2', 'meta-3', 'meta-4'] as const;
const caller = 'cache-1';
const shards = 256;
const objects = { count: 1_000_000, sizeBytes: 1_024 };
const perDirectory = 1_000;
const directoriesAtOnce = 16;
const readAhead = 4;
const entriesAPage = 10_000;
const rangesChoices = [1, 2, 4, 8, 16];
const pairs = 5;

/** A million objects in a thousand directories, whose homes are spread over four owners. */
export const mdImport: Figure = {
  id: 'md-import',
  measures: 'first listing of a million objects by four owners ÷ bare parallel LISTs; with it md-list',
  async *measure(bench) {
    const built = await ensureEtcd(bench);
    if (built.kind === 'unavailable') {
      for (const id of ['md-import', 'md-list']) yield { id, why: built.why };
      return;
    }
    await using server = await ObjectServer.start('127.0.0.1');
    const env = { ...environmentFor(server.endpoint), MILLPOOL_HOT_READS_PER_S: '0' };
    const bed = await ClusterBed.start(built.what, shards, env);
    try {
      for (const name of owners) await bed.add(name, 'metadata');
      await bed.add(caller, 'cache');
      await run(bed, 'admin', 'rebalance', 'run', '--at-once', '64');
      const connection = await connectTransport(`${bed.node(caller).socket}.control`);
      yield await imported({ bed, connection, env }, bench);
      yield await listed({ bed, connection, env }, bench);
      await connection.close();
    } finally {
      await bed.stop();
    }
  },
};

interface Rig {
  readonly bed: ClusterBed;
  readonly connection: TransportConnection;
  readonly env: Readonly<Record<string, string>>;
}

async function imported({ bed, connection, env }: Rig, bench: Bench): Promise<Outcome> {
  await using lists = await BareLists.start(objects, rangesChoices, env, bench);
  // Each lap is of an attachment of its own, of which nobody knows anything.
  const ours: Contender = {
    lap: async (number) => {
      const root = `/import-${number}-${performance.now().toFixed(0)}`;
      await attach(bed, root);
      const lap = await timed(bed, async () => {
        await eachDirectory(directoriesAtOnce, root, (path) => pageOf(connection, { path, limit: 1 }));
        return objects.count;
      });
      await run(bed, 'detach', root);
      return lap;
    },
  };
  const choices = rangesChoices.join(', ');
  const referenceName = `LISTs of ${lists.ranges} equal ranges of as many keys (best of ${choices}), nothing kept`;
  return {
    ...{ id: 'md-import', variant: '1 M in 1,000 directories', unit: 'entries/s', goal: 0.8, higherIsBetter: true },
    ...(await comparePairs(ours, lists, { pairs, ...bench })),
    referenceName,
  };
}

async function listed({ bed, connection }: Rig, bench: Bench): Promise<Outcome> {
  const root = '/listed';
  await attach(bed, root);
  await eachDirectory(directoriesAtOnce, root, (path) => pageOf(connection, { path, limit: 1 }));
  const file = join(bed.path, 'pairs.mdb');
  await using scan = lapsOf(await LineProcess.start([...lapProgram('lmdb-scan'), file, String(objects.count)]));
  const ours: Contender = { lap: () => timed(bed, () => allEntries(connection, root)) };
  const startMs = performance.now();
  await pageOf(connection, { path: directoryOf(root, 0), limit: 1 });
  const beside: Beside[] = [
    { name: 'first entry', value: performance.now() - startMs, unit: 'ms' },
    {
      name: 'memory of the node that lists',
      value: (await memoryBytesOf(bed.node(caller).pid)) / 2 ** 20,
      unit: 'MiB',
    },
  ];
  return {
    ...{ id: 'md-list', variant: '1 M in 1,000 directories, warm', unit: 'entries/s', goal: 0.5, higherIsBetter: true },
    ...(await comparePairs(ours, scan, { pairs, ...bench })),
    referenceName: 'LMDB with a pair an entry: one range, each decoded, in one process',
    beside,
  };
}

/** In their order, a few directories ahead. */
async function allEntries(connection: TransportConnection, root: string): Promise<number> {
  let count = 0;
  await eachDirectory(readAhead, root, async (path) => {
    for (let cursor: string | null = null, more = true; more; more = cursor !== null) {
      const page: ListReply = await pageOf(connection, { path, limit: entriesAPage, cursor });
      count += unpackEntries(page.entries).length;
      cursor = page.cursor;
    }
  });
  if (count !== objects.count) throw new Error(`${count} entries were listed`);
  return count;
}

async function eachDirectory(atOnce: number, root: string, act: (path: string) => Promise<unknown>): Promise<void> {
  let next = 0;
  const go = async (): Promise<void> => {
    for (let at = next++; at < objects.count / perDirectory; at = next++) await act(directoryOf(root, at));
  };
  await Promise.all(Array.from({ length: atOnce }, go));
}

function directoryOf(root: string, at: number): string {
  const [, directory = ''] = keyOf(at * perDirectory).split('/');
  return `${root}/${directory}`;
}

function pageOf(
  { call }: TransportConnection,
  { path, limit, cursor = null }: { path: string; limit: number; cursor?: string | null },
): Promise<ListReply> {
  return call('list', { path, recursive: false, cursor, limit }, { timeoutSeconds: 600 });
}

async function timed(bed: ClusterBed, act: () => Promise<number>): Promise<Lap> {
  const pids = [...bed.nodes.values()].map(({ pid }) => pid);
  const cpu = async (): Promise<number> => {
    const seconds = await Promise.all(pids.map((pid) => cpuSecondsOf(pid)));
    return seconds.reduce((sum, one) => sum + one, 0);
  };
  const cpuBefore = await cpu();
  const startMs = performance.now();
  const samples = await act();
  const seconds = (performance.now() - startMs) / 1000;
  return { samples, seconds, cpuSeconds: (await cpu()) - cpuBefore };
}

function attach(bed: ClusterBed, path: string): Promise<void> {
  return run(bed, 'attach', `s3://${bucketOf(objects)}/data`, '--at', path, '--freshness', 'immutable');
}

async function run(bed: ClusterBed, ...args: readonly string[]): Promise<void> {
  const { code, stderr } = await bed.node(caller).run(...args);
  if (code !== 0) throw new Error(`${args.join(' ')}: ${stderr}`);
}
