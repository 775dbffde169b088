import { ensureRedis } from '@millpool/test/harness';

import type { Figure } from '../figure.ts';
import { bestRate, comparePairs, fastest } from '../pairs.ts';
import { RedisServer } from '../redis-server.ts';
import { WarmDirectory } from '../warm-directory.ts';

const id = 'md-vs-redis';
const goal = 0.8;
const pairs = 15;
const methods = ['redis GET', 'redis MGET', 'redis HMGET', 'ioredis GET', 'ioredis MGET', 'ioredis HMGET'];

export const mdVsRedis: Figure = {
  id,
  measures: "look-ups of 256 names at the daemon ÷ the same out of Debian's redis-server by its best client",
  async *measure(bench) {
    const binary = await ensureRedis(bench);
    if (binary.kind === 'unavailable') {
      yield { id, why: binary.why };
      return;
    }
    bench.say('listing a directory of 100,000 objects');
    await using directory = await WarmDirectory.make();
    await using server = await RedisServer.start(binary.what, directory.directory);
    const by = (method: string) => directory.redisGets({ socket: server.socket, pid: server.pid, method });
    const best = await fastest(methods, async (method) => {
      bench.signal.throwIfAborted();
      await using gets = await by(method);
      const rate = await bestRate(gets);
      bench.say(`${method}: ${Math.round(rate)} names/s`);
      return rate;
    });
    await using reference = await by(best);
    await using ours = await directory.lookUps();
    for (const side of [ours, reference]) await bestRate(side);
    yield {
      id,
      variant: '256 names of 100,000',
      ...(await comparePairs(ours, reference, { pairs, ...bench })),
      referenceName: `Debian's redis-server over its Unix socket, by ${best} (best of ${methods.join(', ')})`,
      unit: 'names/s',
      goal,
      higherIsBetter: true,
    };
  },
};
