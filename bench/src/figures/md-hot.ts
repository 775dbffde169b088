import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { ClusterBed, ensureEtcd } from '@millpool/test/harness';

import { CpuCap } from '../cpu-cap.ts';
import type { Figure, Result } from '../figure.ts';
import { median } from '../interval.ts';
import { LookUpLoad } from '../look-up-load.ts';
import { comparison } from '../pairs.ts';

const owners = ['meta-1', 'meta-2', 'meta-3', 'meta-4'] as const;
const callers = ['cache-1', 'cache-2'] as const;
const shards = 256;
const directories = 256;
const filesEach = 128;
const namesAQuestion = 64;
const underWay = 12;
/** Of a processor, for each owner: what the bench and the callers take of this machine is then no limit. */
const ownerShare = 0.1;
/** A fifth of what such an owner answers, as the default is of one that has a processor. */
const hotReadsPerS = 1_000;
const warmSeconds = 10;
const lapSeconds = 3;
const settleSeconds = 4;
const rounds = 5;
const onsetSeconds = 15;
const controlMax = 0.4;
const hot = '/files/directory-0000';

interface Rates {
  readonly uniform: number;
  readonly published: number;
  readonly shared: number;
  readonly whole: number;
}

/** Four owners that have a tenth of a processor each, and two daemons that ask them. */
export const mdHot: Figure = {
  id: 'md-hot',
  measures: 'look-ups in one directory ÷ in all of them, where owners are the limit; with it md-hot/onset',
  async *measure(bench) {
    const built = await ensureEtcd(bench);
    const why = built.kind === 'unavailable' ? built.why : await CpuCap.whyNot();
    if (built.kind === 'unavailable' || why !== null) {
      for (const id of ['md-hot', 'md-hot/onset']) yield { id, why: why ?? '' };
      return;
    }
    const bed = await ClusterBed.start(built.what, shards, { MILLPOOL_HOT_READS_PER_S: String(hotReadsPerS) });
    try {
      yield* await measured(bed, bench);
    } finally {
      await bed.stop();
    }
  },
};

async function measured(bed: ClusterBed, bench: Parameters<Figure['measure']>[0]): Promise<Result[]> {
  const source = join(bed.path, 'files');
  await fill(source);
  for (const name of owners) await bed.add(name, 'metadata');
  for (const name of callers) await bed.add(name, 'cache');
  const run = async (...args: readonly string[]): Promise<void> => {
    const { code, stderr } = await bed.node('cache-1').run(...args);
    if (code !== 0) throw new Error(`${args.join(' ')}: ${stderr}`);
  };
  await run('attach', source, '--at', '/files', '--freshness', 'immutable');
  await run('admin', 'rebalance', 'run', '--at-once', '64');
  const load = await LookUpLoad.connect(
    callers.map((name) => bed.node(name)),
    underWay,
  );
  const all = Array.from({ length: directories }, (_, at) => `/files/directory-${String(at).padStart(4, '0')}`);
  for (const directory of all) await run('ls', directory);
  await using cap = new CpuCap(ownerShare);
  for (const name of owners) await cap.add(bed.node(name).pid);
  const become = async (...state: readonly string[]): Promise<void> => {
    await run('admin', 'dirs', ...state, hot);
    await load.run(settleSeconds, questionsIn([hot]));
  };
  const rate = async (of: readonly string[]): Promise<number> => median(await load.run(lapSeconds, questionsIn(of)));

  const laps: Rates[] = [];
  await load.run(warmSeconds, questionsIn(all));
  while (laps.length < rounds) {
    bench.signal.throwIfAborted();
    const uniform = await rate(all);
    await become('merge');
    const whole = await rate([hot]);
    await become('split', '--parts', '16');
    const shared = await rate([hot]);
    await become('publish');
    const published = await rate([hot]);
    laps.push({ uniform, whole, shared, published });
    const text = [uniform, published, shared, whole].map((one) => one.toFixed(0)).join(', ');
    bench.say(`names a second: uniform, published, shared out, whole: ${text}`);
  }
  const onsets: number[] = [];
  // Each begins with a directory that nobody has found hot before.
  for (const directory of all.slice(1, 1 + rounds)) {
    bench.signal.throwIfAborted();
    const seconds = await load.run(onsetSeconds, questionsIn([directory]));
    bench.say(`names by the second from the onset on: ${seconds.join(' ')}`);
    onsets.push(seconds.reduce((sum, names) => sum + names, 0) / onsetSeconds);
    await run('admin', 'dirs', 'merge', directory);
  }
  await load.close();
  return rowsOf(laps, onsets);
}

async function fill(source: string): Promise<void> {
  for (let at = 0; at < directories; at += 1) {
    const directory = join(source, `directory-${String(at).padStart(4, '0')}`);
    await mkdir(directory, { recursive: true });
    for (let file = 0; file < filesEach; file += 1) await writeFile(join(directory, `${file}.jpg`), '');
  }
}

/** Each is for names of one directory: what questions cost by themselves is then the same for one and for many. */
function questionsIn(of: readonly string[]): () => string[] {
  let next = 0;
  return () => {
    const directory = of[next % of.length] as string;
    const first = namesAQuestion * Math.floor(next / of.length);
    next += 1;
    return Array.from({ length: namesAQuestion }, (_, at) => `${directory}/${(first + at) % filesEach}.jpg`);
  };
}

function rowsOf(laps: readonly Rates[], onsets: readonly number[]): Result[] {
  const uniform = laps.map((lap) => lap.uniform);
  const control = median(laps.map(({ whole, uniform: all }) => whole / all));
  const row = { unit: 'names/s', higherIsBetter: true, id: 'md-hot' } as const;
  const referenceName = `names of all ${directories} directories; four owners with ${ownerShare} of a processor each`;
  const beside = [{ name: 'the control: the same, answered for by its home alone', value: control, unit: '' }];
  // Where one owner is not the limit, nothing is shown by four.
  const isVoid = control > controlMax;
  const rows: Result[] = [
    {
      ...row,
      variant: 'published',
      goal: 0.85,
      ...comparison(
        laps.map((lap) => lap.published),
        uniform,
      ),
      referenceName,
      beside,
    },
    {
      ...row,
      variant: 'shared out, 16 parts',
      goal: null,
      ...comparison(
        laps.map((lap) => lap.shared),
        uniform,
      ),
      referenceName,
      beside,
    },
    {
      ...row,
      id: 'md-hot/onset',
      variant: `the first ${onsetSeconds} s`,
      goal: 0.5,
      ...comparison(onsets, uniform),
      referenceName,
      beside,
    },
  ];
  return rows.map((one) => ({ ...one, isVoid: one.isVoid || isVoid }));
}
