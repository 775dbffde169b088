import { MillpoolError } from '@millpool/protocol';
import type { DirectoryStatus, RebalancePlan } from '@millpool/protocol';
import { ClusterBed, ensureEtcd } from '@millpool/test/harness';
import { connectTransport } from '@millpool/transport';
import type { TransportConnection } from '@millpool/transport';

import { LookUpLoad } from '../src/look-up-load.ts';
import { bucketOf, environmentFor, keyOf, ObjectServer } from '../src/object-server.ts';
import type { ClusterShow } from './cluster-show.ts';

const objects = { count: 200_000, sizeBytes: 1_024, flat: true };
const directory = '/data';
const owners = ['meta-1', 'meta-2', 'meta-3', 'meta-4'] as const;
const callers = ['cache-1', 'cache-2'] as const;
const shards = 256;
const namesAQuestion = 64;
const underWay = 8;
const hotReadsPerS = 2_000;
const waitSeconds = 90;
/** Shown after each thing that happens. */
const aroundSeconds = 4;
const ownedSecondsMax = 12;
const evenMax = 1.1;

/** What is seen of the hot directory, second by second, whatever happens beside it. */
class Watch {
  names = 0;
  seconds = 0;
  status: DirectoryStatus | null = null;
  readonly #show: ClusterShow;
  readonly #loads: readonly LookUpLoad[];
  readonly #admin: TransportConnection;
  readonly #stop: AbortSignal;
  #reading = 1;
  #next = 0;

  constructor(show: ClusterShow, loads: readonly LookUpLoad[], admin: TransportConnection, stop: AbortSignal) {
    this.#show = show;
    this.#loads = loads;
    this.#admin = admin;
    this.#stop = stop;
  }

  get longestSeconds(): number {
    return Math.max(...this.#loads.map((load) => load.longestSeconds));
  }

  /** So many of the nodes read from now on. */
  readBy(nodes: number): void {
    this.#reading = nodes;
  }

  /** Until it is so, or for a while; the seconds that it took. Throws where an answer is wrong. */
  async until(isSo: (status: DirectoryStatus) => boolean, most = waitSeconds): Promise<number> {
    const begun = this.seconds;
    while (this.seconds - begun < most) {
      this.#stop.throwIfAborted();
      const loads = this.#loads.slice(0, this.#reading);
      const answered = await Promise.all(loads.map((load) => load.run(1, () => this.#question())));
      const namesPerSecond = answered.flat().reduce((sum, names) => sum + names, 0);
      this.names += namesPerSecond;
      this.seconds += 1;
      this.status = await this.#admin.call('directory', { path: directory });
      const { rung, parts } = this.status;
      const line = { second: this.seconds, namesPerSecond, rung, parts: parts.length };
      this.#show.second({ ...line, nodesReading: this.#reading });
      if (isSo(this.status)) return this.seconds - begun;
    }
    return Number.POSITIVE_INFINITY;
  }

  #question(): string[] {
    const first = (this.#next += namesAQuestion);
    return Array.from(
      { length: namesAQuestion },
      (_, at) => `${directory}/${keyOf((first + at * 2_503) % objects.count, true).slice('data/'.length)}`,
    );
  }
}

/** One directory of 200,000 files that everybody reads, on four nodes that own metadata and two that ask them. */
export async function shareOneDirectory(show: ClusterShow, stop: AbortSignal): Promise<void> {
  const built = await ensureEtcd({ say: (text) => show.say(text), signal: stop });
  if (built.kind === 'unavailable') {
    throw new MillpoolError({
      code: 'source-unavailable',
      message: `The demo has no etcd: ${built.why}.`,
      remedy: 'Install Go, with which it is built, and run it again.',
    });
  }
  await using server = await ObjectServer.start('127.0.0.1');
  const env = { ...environmentFor(server.endpoint), MILLPOOL_HOT_READS_PER_S: String(hotReadsPerS) };
  const bed = await ClusterBed.start(built.what, shards, env);
  try {
    show.say(`Starting etcd, ${owners.length} metadata nodes and ${callers.length} cache nodes.`);
    for (const name of owners) await bed.add(name, 'metadata');
    for (const name of callers) await bed.add(name, 'cache');
    await run(bed, 'attach', `s3://${bucketOf(objects)}/data`, '--at', directory);
    await play(bed, show, stop);
  } finally {
    await bed.stop();
  }
}

async function play(bed: ClusterBed, show: ClusterShow, stop: AbortSignal): Promise<void> {
  await run(bed, 'admin', 'rebalance', 'run', '--at-once', '64');
  show.say(`\n${await run(bed, 'admin', 'shards', 'map')}`);
  const loads = await Promise.all(callers.map((name) => LookUpLoad.connect([bed.node(name)], underWay)));
  const admin = await connectTransport(`${bed.node('cache-1').socket}.control`);
  const watch = new Watch(show, loads, admin, stop);
  try {
    show.say(`One node looks up names of a directory of ${objects.count.toLocaleString('en')} files.`);
    const splitAfterSeconds = await watch.until(({ rung }) => rung === 'split');
    tellReason(watch, show);
    await watch.until(() => false, aroundSeconds);
    show.say('\nA second node reads it too.');
    watch.readBy(2);
    const publishedAfterSeconds = await watch.until(({ rung }) => rung === 'publish');
    tellReason(watch, show);
    await watch.until(() => false, aroundSeconds);
    const ownedAgainAfterSeconds = await killHome(bed, watch, show);
    const { moved, maxOverMean } = await rebalance(bed, watch, show);
    const isInTime = splitAfterSeconds <= waitSeconds && publishedAfterSeconds <= waitSeconds;
    const isGood = isInTime && ownedAgainAfterSeconds <= ownedSecondsMax && maxOverMean <= evenMax;
    const { names, longestSeconds } = watch;
    const ends = { splitAfterSeconds, publishedAfterSeconds, ownedAgainAfterSeconds, moved, maxOverMean };
    show.verdict({ names, wrong: 0, ...ends, longestSeconds, isGood });
    if (!isGood) process.exitCode = 1;
  } finally {
    await admin.close();
    for (const load of loads) await load.close();
  }
}

function tellReason({ status }: Watch, show: ClusterShow): void {
  show.say(`     ${status?.reason ?? ''}`);
}

/** The node that has the directory's home, without a word. */
async function killHome(bed: ClusterBed, watch: Watch, show: ClusterShow): Promise<number> {
  const id = watch.status?.owner ?? '';
  const home = owners.find((name) => bed.idOf(name) === id) ?? owners[0];
  show.say(`\nkill -9 of ${home}, which has the home of the directory.`);
  await bed.node(home).stop('SIGKILL');
  const owned = bed.until('others own what it had', async () => {
    const seen = await bed.shardsSeenBy('cache-1');
    return seen.every(({ owner, isServed }) => isServed && owner !== id);
  });
  let isOwned = false;
  void owned.finally(() => (isOwned = true)).catch(() => undefined);
  await watch.until(() => isOwned);
  await watch.until(() => false, aroundSeconds);
  const seconds = await owned;
  show.say(`\n${await run(bed, 'admin', 'shards', 'map')}\nIt starts again, and owns nothing yet.`);
  await bed.add(home, 'metadata');
  return seconds;
}

async function rebalance(
  bed: ClusterBed,
  watch: Watch,
  show: ClusterShow,
): Promise<{ readonly moved: number; readonly maxOverMean: number }> {
  const plan = async () => JSON.parse(await run(bed, 'admin', 'rebalance', 'plan', '--json')) as RebalancePlan;
  const { moves } = await plan();
  show.say(`${await run(bed, 'admin', 'rebalance', 'plan')}\nThe plan is carried out, while all are read.`);
  const done = run(bed, 'admin', 'rebalance', 'run');
  let isOver = false;
  void done.finally(() => (isOver = true)).catch(() => undefined);
  await watch.until(() => isOver);
  await done;
  show.say(`\n${await run(bed, 'admin', 'shards', 'map')}`);
  return { moved: moves.length, maxOverMean: (await plan()).maxOverMean };
}

/** What it says, asked at a node that owns nothing. */
async function run(bed: ClusterBed, ...args: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await bed.node('cache-1').run(...args);
  if (code === 0) return stdout.trimEnd();
  throw new MillpoolError({ code: 'internal', message: `millpool ${args.join(' ')}: ${stderr}`, remedy: 'Report it.' });
}
