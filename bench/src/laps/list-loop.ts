// LISTs and nothing else: `node list-loop.js SOURCE COUNT`; a line is how many ranges are listed at once. They are of
// equal size, which only who made the bucket can know. Requests and their parser are the product's own.
import { openUnderStorage } from '@millpool/under-storage';

import { keyOf } from '../object-server.ts';
import { answerLaps } from './lap-lines.ts';

const [source = '', countText = ''] = process.argv.slice(2);
const count = Number(countText);
const keysAtOnce = 1_000;
const storage = await openUnderStorage(source, null);
const { signal } = new AbortController();

/** Keys after that of the object before `from`, up to that of the object before `to`. */
async function listRange(from: number, to: number): Promise<number> {
  const end = Buffer.from(keyOf(to - 1, true));
  let listed = 0;
  for (let after: Uint8Array | null = from === 0 ? null : Buffer.from(keyOf(from - 1, true)); ;) {
    const page = await storage.list({ prefix: storage.root, recursive: true, after, limit: keysAtOnce, signal });
    const { files, next } = page;
    const passed = next === null || Buffer.compare(next, end) >= 0;
    listed += passed ? files.countUpTo(end) : files.length;
    if (passed) return listed;
    after = next;
  }
}

await answerLaps({
  prepare: async (line) => Number(line),
  async lap(ranges) {
    const bound = (range: number): number => Math.floor((range * count) / ranges);
    const listings = Array.from({ length: ranges }, (_, range) => listRange(bound(range), bound(range + 1)));
    const listed = (await Promise.all(listings)).reduce((sum, one) => sum + one, 0);
    if (listed !== count) throw new Error(`${listed} of ${count} keys were listed`);
    return listed;
  },
});
await storage.close();
