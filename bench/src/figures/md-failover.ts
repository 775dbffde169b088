import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import { ClusterBed, ensureEtcd } from '@millpool/test/harness';

import { filesInDirectories } from '../cluster-files.ts';
import { ClusterProbe } from '../cluster-probe.ts';
import type { Figure } from '../figure.ts';
import { comparison } from '../pairs.ts';

const id = 'md-failover';
const goal = 1;
const allowedSeconds = 12;
const kills = 3;
const shards = 64;
const directories = 512;
const pathsAtOnce = 64;
/** Before the kill, and after all is owned again. */
const aroundMs = 1_500;

export const mdFailover: Figure = {
  id,
  measures: '12 s ÷ the longest that any entry was without a right answer after an owner was killed (kill -9)',
  async *measure(bench) {
    const built = await ensureEtcd(bench);
    if (built.kind === 'unavailable') return yield { id, why: built.why };
    const longest: number[] = [];
    const owned: number[] = [];
    while (longest.length < kills) {
      const { longestSeconds, ownedSeconds } = await afterKill(built.what);
      bench.signal.throwIfAborted();
      bench.say(
        `kill ${longest.length + 1}: ${longestSeconds.toFixed(2)} s, owned again in ${ownedSeconds.toFixed(1)} s`,
      );
      longest.push(longestSeconds);
      owned.push(ownedSeconds);
    }
    yield {
      id,
      variant: `3 owners, ${directories} directories`,
      ...comparison(
        longest.map(() => allowedSeconds),
        longest,
      ),
      referenceName: 'the longest without a right answer, the source asked where no owner answers',
      unit: 's',
      goal,
      higherIsBetter: true,
      beside: [{ name: 'until others own all that it had', value: Math.max(...owned), unit: 's, the longest' }],
    };
  },
};

async function afterKill(binary: string): Promise<{ longestSeconds: number; ownedSeconds: number }> {
  const bed = await ClusterBed.start(binary, shards);
  try {
    const source = join(bed.path, 'files');
    const paths = await filesInDirectories(source, directories);
    for (const name of ['meta-1', 'meta-2']) await bed.add(name, 'metadata');
    const node = await bed.add('whole', [source]);
    await bed.untilServed('whole');
    await node.run('admin', 'rebalance', 'run');
    const probe = await ClusterProbe.connect(node, paths);
    let isOver = false;
    const probing = probe.run(pathsAtOnce, () => isOver);
    await sleep(aroundMs);
    const killed = bed.idOf('meta-1');
    const start = performance.now();
    await bed.node('meta-1').stop('SIGKILL');
    await bed.until('others own all', async () => {
      const seen = await bed.shardsSeenBy('meta-2');
      return seen.every(({ owner, isServed }) => owner !== killed && isServed);
    });
    const ownedSeconds = (performance.now() - start) / 1000;
    await sleep(aroundMs);
    isOver = true;
    await probing;
    await probe.close();
    if (probe.wrong > 0) throw new Error(`${probe.wrong} answers were wrong`);
    return { longestSeconds: probe.longestSeconds, ownedSeconds };
  } finally {
    await bed.stop();
  }
}
