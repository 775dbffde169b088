import { comparePairs, bestRate, fastest } from '../pairs.ts';
import type { Bench, Figure, Result } from '../figure.ts';
import { RestartCache } from '../restart-cache.ts';
import type { Ending } from '../restart-cache.ts';

const goal = 0.5;
const pairs = 9;
const sizes = [1_000_000, 10_000_000];
const methods = ['synchronous', 'parallel'];

export const restartClean: Figure = {
  id: 'restart-clean',
  measures: 'a bare Node that reads the saved table ÷ from a clean stop to the first hit, nothing in the page cache',
  async *measure(bench) {
    for (const records of sizes) yield await measureStart('restart-clean', records, 'clean', bench);
  },
};

export const restartCrash: Figure = {
  id: 'restart-crash',
  measures: 'a bare Node that reads all footers ÷ from kill -9 to the first hit, nothing in the page cache',
  async *measure(bench) {
    for (const records of sizes) yield await measureStart('restart-crash', records, 'crash', bench);
  },
};

async function measureStart(id: string, records: number, ending: Ending, bench: Bench): Promise<Result> {
  await using cache = await RestartCache.make(records, ending, bench);
  const method = await fastest(methods, async (choice) => {
    const rate = await bestRate(cache.bareReading(choice));
    bench.say(`bare Node, ${choice}: ${(1 / rate).toFixed(3)} s`);
    return rate;
  });
  await cache.daemon().lap(0);
  const compared = await comparePairs(cache.daemon(), cache.bareReading(method), { pairs, ...bench });
  return {
    id,
    variant: `${records / 1e6} M records`,
    ...compared,
    referenceName: `bare Node reading the same, ${method} (best of ${methods.join(', ')})`,
    unit: 'starts/s',
    goal,
    higherIsBetter: true,
    beside: [{ name: 'memory', value: cache.memoryBytesARecord, unit: 'bytes a record' }],
  };
}
