import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import type { NodeStatus } from '@millpool/protocol';
import { ClusterBed, ensureEtcd } from '@millpool/test/harness';

import { filesInDirectories } from '../cluster-files.ts';
import { ClusterProbe } from '../cluster-probe.ts';
import type { Figure, Result } from '../figure.ts';
import { comparison } from '../pairs.ts';

const shards = 1_024;
const directories = 2_048;
const pathsAtOnce = 16;
const steadyMs = 5_000;
const evenGoal = 1.1;
const latencyTimes = 3;
const percentile = 0.99;
const rounds = 3;

interface Round {
  /** Seconds of a question, of 100 the one but the slowest. */
  readonly steady: number;
  readonly moving: number;
  readonly maxOverMean: number;
  readonly least: number;
  readonly moved: number;
}

/** One node owns all, two join, and a rebalance runs while entries are looked up all the time. */
export const mdMove: Figure = {
  id: 'md-move',
  measures: '3 x the steady p99 of look-ups ÷ their p99 while shards move; with it md-balance and md-moved',
  async *measure(bench) {
    const built = await ensureEtcd(bench);
    if (built.kind === 'unavailable') {
      for (const id of ['md-move', 'md-balance', 'md-moved']) yield { id, why: built.why };
      return;
    }
    const all: Round[] = [];
    while (all.length < rounds) {
      bench.signal.throwIfAborted();
      const round = await rebalanced(built.what);
      const ms = (seconds: number): string => (seconds * 1000).toFixed(1);
      bench.say(`p99 ${ms(round.steady)} ms, ${ms(round.moving)} ms during ${round.moved} moves`);
      all.push(round);
    }
    const row = { variant: '1,024 shards, 1 to 3 owners', goal: 1, higherIsBetter: true } as const;
    yield* [
      {
        ...row,
        id: 'md-move',
        ...comparison(
          all.map(({ steady }) => latencyTimes * steady),
          all.map(({ moving }) => moving),
        ),
        referenceName: `p99 of ${pathsAtOnce} names a question during the moves, none wrong`,
        unit: 's',
      },
      {
        ...row,
        id: 'md-balance',
        ...comparison(
          all.map(() => evenGoal),
          all.map(({ maxOverMean }) => maxOverMean),
        ),
        referenceName: 'shards of the node that has most over the mean, afterwards',
        unit: 'of the mean',
      },
      {
        ...row,
        id: 'md-moved',
        goal: 0.95,
        ...comparison(
          all.map(({ least }) => least),
          all.map(({ moved }) => moved),
        ),
        referenceName: 'shards that moved; before it, the least that had to',
        unit: 'shards',
      },
    ] satisfies Result[];
  },
};

async function rebalanced(binary: string): Promise<Round> {
  const bed = await ClusterBed.start(binary, shards);
  try {
    const source = join(bed.path, 'files');
    const paths = await filesInDirectories(source, directories);
    await bed.add('meta-1', 'metadata');
    await bed.untilServed('meta-1');
    await bed.add('meta-2', 'metadata');
    const node = await bed.add('whole', [source]);
    const probe = await ClusterProbe.connect(node, paths);
    let isOver = false;
    const probing = probe.run(pathsAtOnce, () => isOver);
    // All is listed once, then it is steady.
    await sleep(steadyMs);
    probe.takeSeconds();
    await sleep(steadyMs);
    const steady = p99(probe.takeSeconds());
    const terms = await termsOf(bed);
    const least = leastMoves(await bed.nodesSeenBy('whole'));
    await node.run('admin', 'rebalance', 'run');
    const moving = p99(probe.takeSeconds());
    isOver = true;
    await probing;
    await probe.close();
    if (probe.wrong > 0) throw new Error(`${probe.wrong} answers were wrong`);
    const counts = owners(await bed.nodesSeenBy('whole')).map((status) => status.shards);
    const maxOverMean = Math.max(...counts) / (shards / counts.length);
    const moved = (await termsOf(bed)) - terms;
    if (moved === 0) throw new Error(`nothing moved, where ${least} shards had to`);
    return { steady, moving, maxOverMean, least, moved };
  } finally {
    await bed.stop();
  }
}

function owners(nodes: readonly NodeStatus[]): NodeStatus[] {
  return nodes.filter(({ roles }) => roles.includes('metadata'));
}

/** Of all shards together: each move is one more. */
async function termsOf(bed: ClusterBed): Promise<number> {
  return (await bed.shardsSeenBy('whole')).reduce((sum, { term }) => sum + term, 0);
}

/** What those have too much that have more than their share; the odd ones are left to whoever has most. */
function leastMoves(nodes: readonly NodeStatus[]): number {
  const counts = owners(nodes)
    .map((node) => node.shards)
    .sort((one, other) => other - one);
  const [least, odd] = [Math.floor(shards / counts.length), shards % counts.length];
  return counts.reduce((sum, count, place) => sum + Math.max(0, count - (place < odd ? least + 1 : least)), 0);
}

function p99(sorted: readonly number[]): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(percentile * sorted.length))] ?? Number.NaN;
}
