import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { TestContext } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';

import { silentLog, systemClock } from '@millpool/host';

import { hashName } from '../name-hash.ts';
import { copyingPair } from '../testing/copying-pair.ts';
import { KeptCopies } from './kept-copies.ts';

const path = '/data/train';
const files = 64;

async function bed(t: TestContext) {
  const pair = await copyingPair(t);
  const { bucket, from, to } = pair;
  for (let at = 0; at < files; at += 1) bucket.put(`train/${at}.jpg`, at);
  const copies = new KeptCopies({ local: to.metadata, clock: to.clock, log: silentLog });
  t.after(() => copies.close());
  const pass = async (ms: number): Promise<void> => {
    for (const node of [from, to]) await node.clock.advance(ms);
  };
  /** Until what was begun has ended; meanwhile so much of the nodes' time passes in each turn. */
  const settled = async (isSo: () => boolean, aTurnMs = 0): Promise<void> => {
    const endMs = systemClock.monotonicMs() + 20_000;
    while (!isSo()) {
      assert.ok(systemClock.monotonicMs() < endMs, 'it does not come');
      await pass(aTurnMs);
      await turn();
    }
  };
  return { ...pair, copies, pass, settled };
}

describe('a kept copy', () => {
  test('is made when it is first asked for, and again when half of its time is over', async (t) => {
    const { seen, to, copies, pass, settled } = await bed(t);
    const age = (): number | null => to.metadata.directories.age(path, null).seconds;
    assert.equal(copies.has(path, null), false);
    await settled(() => copies.has(path, null));
    assert.equal(seen.opened, 1);
    await pass(29_000);
    assert.ok(copies.has(path, null));
    await turn();
    assert.deepEqual([seen.opened, age()], [1, 29]);
    await pass(2_000);
    assert.ok(copies.has(path, null), 'the old one is fresh yet');
    await settled(() => copies.has(path, null) && age() === 0);
    assert.equal(seen.opened, 2);
    await pass(61_000);
    assert.equal(copies.has(path, null), false, 'nothing that is too old');
  });

  test('that cannot be made is tried again a second later, and not before', async (t) => {
    const { seen, copies, settled } = await bed(t);
    const part = { index: 1, count: 4 };
    seen.bend = () => assert.fail('away');
    assert.equal(copies.has(path, part), false);
    await settled(() => seen.opened === 1);
    for (let again = 0; again < 50; again += 1) {
      assert.equal(copies.has(path, part), false);
      await turn();
    }
    assert.equal(seen.opened, 1);
    seen.bend = (kept) => kept;
    await settled(() => copies.has(path, part), 10);
    assert.equal(seen.opened, 2);
  });

  test('of a part has its names and no others, and a no of it is certain', async (t) => {
    const { to, bucket, copies, settled } = await bed(t);
    const all = Array.from({ length: files }, (_, at) => `${at}.jpg`);
    let seenNames = 0;
    for (const index of [0, 1, 2, 3]) {
      const part = { index, count: 4 };
      await settled(() => copies.has(path, part));
      const asked = bucket.asked.stats;
      const found =
        to.metadata.directories.lookup(
          [...all, 'none'].map((name) => `${path}/${name}`),
          part,
        ) ?? [];
      const names = all.filter((name) => hashName(Buffer.from(name)) % 4 === index);
      const isThere = found.map((result) => !('error' in result));
      assert.deepEqual(isThere, [...all.map((name) => names.includes(name)), false]);
      assert.equal(bucket.asked.stats, asked, 'the source is not asked');
      seenNames += names.length;
    }
    assert.equal(seenNames, files);
  });
});
