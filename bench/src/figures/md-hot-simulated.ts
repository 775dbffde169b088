import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { ClusterBed, ensureEtcd } from '@millpool/test/harness';

import type { Figure, Result } from '../figure.ts';
import { HotCluster } from '../hot-cluster.ts';
import type { ServiceTimes } from '../hot-cluster.ts';
import { median } from '../interval.ts';
import { LookUpLoad } from '../look-up-load.ts';
import { comparison } from '../pairs.ts';
import { measureServiceTimes } from '../service-times.ts';
import type { MeasuredPair } from '../service-times.ts';

const sizes = [16, 64, 256] as const;
const names = 200_000;
const hotReadsPerS = 5_000;
const uniformSeconds = 4;
const hotSeconds = 60;
const onsetSeconds = 15;
const settledSeconds = 5;
const rounds = 3;
const underWay = 12;
const directories = 64;
const filesEach = 64;
const largeNames = 50_000;
const small = '/files/small/directory-0000';

interface Simulated {
  readonly nodes: number;
  readonly uniform: number;
  readonly settled: number;
  readonly onset: number;
  /** Until more is answered than of names that are spread evenly; null: it never is. */
  readonly aheadSeconds: number | null;
}

/** What one owner and one daemon that asks it take of a processor, and clusters of such nodes in virtual time. */
export const mdHotSimulated: Figure = {
  id: 'md-hot/simulated',
  measures: 'the same in simulated clusters of 16, 64 and 256 nodes, by service times that are measured here',
  async *measure(bench) {
    const built = await ensureEtcd(bench);
    if (built.kind === 'unavailable') {
      yield { id: 'md-hot/simulated', why: built.why };
      return;
    }
    const bed = await ClusterBed.start(built.what, 64, { MILLPOOL_HOT_READS_PER_S: '0' });
    try {
      const pair = await pairIn(bed);
      const simulated: Simulated[] = [];
      for (let round = 0; round < rounds; round += 1) {
        bench.signal.throwIfAborted();
        const times = await measureServiceTimes(pair);
        bench.say(`milliseconds: ${JSON.stringify(times, (_, value) => rounded(value))}`);
        for (const nodes of sizes) simulated.push(simulate(nodes, times));
      }
      await pair.load.close();
      for (const nodes of sizes) yield* rowsOf(simulated.filter((one) => one.nodes === nodes));
    } finally {
      await bed.stop();
    }
  },
};

async function pairIn(bed: ClusterBed): Promise<MeasuredPair> {
  const source = join(bed.path, 'files');
  for (let at = 0; at <= rounds; at += 1) await fill(join(source, 'large', nameOf(at)), largeNames);
  for (let at = 0; at < directories; at += 1) await fill(join(source, 'small', nameOf(at)), filesEach);
  const owner = await bed.add('meta', 'metadata');
  const caller = await bed.add('cache', 'cache');
  const run = async (...args: readonly string[]): Promise<void> => {
    const { code, stderr } = await caller.run(...args);
    if (code !== 0) throw new Error(`${args.join(' ')}: ${stderr}`);
  };
  await run('attach', source, '--at', '/files', '--freshness', 'immutable');
  for (let at = 0; at <= rounds; at += 1) await run('ls', `/files/large/${nameOf(at)}`);
  for (let at = 0; at < directories; at += 1) await run('ls', `/files/small/${nameOf(at)}`);
  let copied = 0;
  const copyLarge = async (): Promise<void> => {
    const directory = `/files/large/${nameOf(copied)}`;
    copied += 1;
    await run('admin', 'dirs', 'publish', directory);
    await run('stat', `${directory}/1.jpg`);
  };
  // The first copy of a process is made by code that is not compiled yet.
  await copyLarge();
  return {
    owner: owner.pid,
    caller: caller.pid,
    load: await LookUpLoad.connect([caller], underWay),
    largeNames,
    questions: (count, isOne) => {
      let next = 0;
      return () => {
        const directory = isOne ? small : `/files/small/${nameOf((next += 1) % directories)}`;
        return Array.from({ length: count }, (_, at) => `${directory}/${at}.jpg`);
      };
    },
    become: (how) => run('admin', 'dirs', how, small),
    copyLarge,
  };
}

async function fill(directory: string, files: number): Promise<void> {
  await mkdir(directory, { recursive: true });
  for (let file = 0; file < files; file += 1) await writeFile(join(directory, `${file}.jpg`), '');
}

function nameOf(directory: number): string {
  return `directory-${String(directory).padStart(4, '0')}`;
}

/** The first second of each is its beginning; the last ones have settled. */
function simulate(nodes: number, times: ServiceTimes): Simulated {
  const uniform = new HotCluster({ nodes, names, times, hotReadsPerS: null }).run(uniformSeconds);
  const hot = new HotCluster({ nodes, names, times, hotReadsPerS }).run(hotSeconds);
  const evenly = median(uniform.slice(1));
  const ahead = hot.findIndex((second) => second >= evenly);
  return {
    nodes,
    aheadSeconds: ahead === -1 ? null : ahead,
    uniform: evenly,
    settled: median(hot.slice(-settledSeconds)),
    onset: hot.slice(0, onsetSeconds).reduce((sum, second) => sum + second, 0) / onsetSeconds,
  };
}

function rowsOf(simulated: readonly Simulated[]): Result[] {
  const [{ nodes } = { nodes: 0 }] = simulated;
  const uniform = simulated.map((one) => one.uniform);
  const row = {
    id: 'md-hot/simulated',
    unit: 'names/s',
    higherIsBetter: true,
    referenceName: `names of as many directories as there are questions, in the same cluster of ${nodes} nodes`,
  } as const;
  const settled = comparison(
    simulated.map((one) => one.settled),
    uniform,
  );
  const onset = comparison(
    simulated.map((one) => one.onset),
    uniform,
  );
  const seconds = simulated.map(({ aheadSeconds }) => aheadSeconds ?? Number.POSITIVE_INFINITY);
  const beside = [{ name: 'until more is answered than of names spread evenly', value: median(seconds), unit: 's' }];
  return [
    { ...row, variant: `${nodes} nodes`, goal: 0.85, ...settled, beside },
    { ...row, variant: `${nodes} nodes, the first ${onsetSeconds} s`, goal: 0.5, ...onset },
  ];
}

function rounded(value: unknown): unknown {
  return typeof value === 'number' ? Number(value.toPrecision(3)) : value;
}
