import { MillpoolError } from '@millpool/protocol';
import type { DirectoryStatus, RebalancePlan } from '@millpool/protocol';
import { ClusterBed, ensureEtcd } from '@millpool/test/harness';
import { connectTransport } from '@millpool/transport';
import type { TransportConnection } from '@millpool/transport';

import { median } from '../src/interval.ts';
import { LookUpLoad, wrongAnswer } from '../src/look-up-load.ts';
import { bucketOf, environmentFor, keyOf, ObjectServer } from '../src/object-server.ts';
import type { ClusterShow, ClusterVerdict } from './cluster-show.ts';

const objects = { count: 200_000, sizeBytes: 1_024, flat: true };
const directory = '/data';
/** In directories of a thousand. */
const spread = { count: 128_000, sizeBytes: 1_024 };
const spreadAt = '/even';
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
const hotMin = 0.85;

/** What is seen of the hot directory, second by second, whatever happens beside it. */
class Watch {
  names = 0;
  seconds = 0;
  status: DirectoryStatus | null = null;
  readonly #show: ClusterShow;
  readonly #loads: readonly LookUpLoad[];
  readonly #admin: TransportConnection;
  readonly #stop: AbortSignal;
  #reading: number = callers.length;
  #paths: readonly string[] = [];
  #next = 0;
  #rates: number[] = [];

  constructor(show: ClusterShow, loads: readonly LookUpLoad[], admin: TransportConnection, stop: AbortSignal) {
    this.#show = show;
    this.#loads = loads;
    this.#admin = admin;
    this.#stop = stop;
  }

  get longestSeconds(): number {
    return Math.max(...this.#loads.map((load) => load.longestSeconds));
  }

  /** So many of the nodes read these directories from now on. */
  read(paths: readonly string[], nodes: number): void {
    this.#paths = paths;
    this.#reading = nodes;
  }

  /** Names a second, of the last seconds that were shown after something had happened. */
  get rate(): number {
    return median(this.#rates.slice(-aroundSeconds));
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
      this.#rates.push(namesPerSecond);
      this.seconds += 1;
      this.status = await this.#admin.call('directory', { path: directory });
      const { rung, parts } = this.status;
      const line = { second: this.seconds, namesPerSecond, rung, parts: parts.length };
      this.#show.second({ ...line, nodesReading: this.#reading, directories: this.#paths.length });
      if (isSo(this.status)) return this.seconds - begun;
    }
    return Number.POSITIVE_INFINITY;
  }

  #question(): string[] {
    const first = (this.#next += namesAQuestion);
    if (this.#paths.length === 1) {
      return Array.from(
        { length: namesAQuestion },
        (_, at) => `${directory}/${keyOf((first + at * 2_503) % objects.count, true).slice('data/'.length)}`,
      );
    }
    // All names of a question are of one directory.
    const turn = first / namesAQuestion;
    const begin = (turn % this.#paths.length) * filesEach + (turn % (filesEach - namesAQuestion));
    return Array.from({ length: namesAQuestion }, (_, at) => `${spreadAt}/${keyOf(begin + at).slice('data/'.length)}`);
  }
}

const filesEach = 1_000;
const spreadPaths = Array.from({ length: spread.count / filesEach }, (_, at) => {
  const key = keyOf(at * filesEach).slice('data/'.length);
  return `${spreadAt}/${key.slice(0, key.indexOf('/'))}`;
});

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
    await run(bed, 'attach', `s3://${bucketOf(spread)}/data`, '--at', spreadAt);
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
  const story: Story = {
    uniform: null,
    hot: null,
    splitAfter: null,
    publishedAfter: null,
    failover: null,
    moves: null,
  };
  const failures: string[] = [];
  try {
    await tell(story, { bed, show, watch, admin });
  } catch (error) {
    stop.throwIfAborted();
    failures.push((error as Error).message);
  } finally {
    await admin.close();
    for (const load of loads) await load.close();
  }
  const verdict = verdictOn(story, watch, failures);
  show.verdict(verdict);
  if (verdict.verdict === 'failed') process.exitCode = 1;
}

/** As far as it came. */
interface Story {
  uniform: number | null;
  hot: number | null;
  splitAfter: number | null;
  publishedAfter: number | null;
  failover: number | null;
  moves: { readonly moved: number; readonly maxOverMean: number } | null;
}

interface Stage {
  readonly bed: ClusterBed;
  readonly show: ClusterShow;
  readonly watch: Watch;
  readonly admin: TransportConnection;
}

async function tell(story: Story, { bed, show, watch, admin }: Stage): Promise<void> {
  show.say(`Two nodes look up names of ${spreadPaths.length} directories, whose owners are all four.`);
  for (const path of spreadPaths) await admin.call('list', { path, recursive: false, cursor: null, limit: 1 });
  watch.read(spreadPaths, callers.length);
  await watch.until(() => false, aroundSeconds);
  story.uniform = watch.rate;
  show.say(`\nOne node looks up names of a single directory of ${objects.count.toLocaleString('en')} files.`);
  watch.read([directory], 1);
  story.splitAfter = await watch.until(({ rung }) => rung === 'split');
  tellReason(watch, show);
  await watch.until(() => false, aroundSeconds);
  show.say('\nA second node reads it too.');
  watch.read([directory], callers.length);
  story.publishedAfter = await watch.until(({ rung }) => rung === 'publish');
  tellReason(watch, show);
  await watch.until(() => false, 2 * aroundSeconds);
  story.hot = watch.rate;
  story.failover = await killHome(bed, watch, show);
  story.moves = await rebalance(bed, watch, show);
}

/** `failures`: what ended it early. */
function verdictOn(story: Story, { names, longestSeconds }: Watch, failures: readonly string[]): ClusterVerdict {
  const { uniform, hot, splitAfter, publishedAfter, failover, moves } = story;
  const hotOverUniform = uniform === null || hot === null ? null : hot / uniform;
  const maxOverMean = moves?.maxOverMean ?? null;
  const checks: readonly (readonly [string, boolean])[] = [
    ['it was not shared out', splitAfter === null || splitAfter <= waitSeconds],
    ['it was not published', publishedAfter === null || publishedAfter <= waitSeconds],
    ['one directory was read slower than many', hotOverUniform === null || hotOverUniform >= hotMin],
    [`shards had no owner for more than ${ownedSecondsMax} s`, failover === null || failover <= ownedSecondsMax],
    ['shards are not spread evenly', maxOverMean === null || maxOverMean <= evenMax],
  ];
  const reasons = [...failures, ...checks.flatMap(([reason, isGood]) => (isGood ? [] : [reason]))];
  return {
    verdict: reasons.length === 0 ? 'ok' : 'failed',
    reasons,
    hotOverUniform,
    maxOverMean,
    failoverSeconds: failover,
    // A question that is answered wrongly ends the load.
    wrongAnswers: failures.filter((failure) => failure.includes(wrongAnswer)).length,
    ...{ names, splitAfterSeconds: splitAfter, publishedAfterSeconds: publishedAfter, longestSeconds },
    moved: moves?.moved ?? null,
  };
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
