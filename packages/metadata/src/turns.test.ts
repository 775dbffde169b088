import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { setImmediate as turnOfEventLoop } from 'node:timers/promises';

import { systemClock } from '@millpool/host';
import { HandClock } from '@millpool/host/testing';
import { unpackEntries } from '@millpool/protocol';
import type { ListReply } from '@millpool/protocol';

import { MemoryBucket } from './testing/memory-bucket.ts';
import { never, NodeFixture } from './testing/node-fixture.ts';
import { Turns } from './turns.ts';

const names = 20_000;
const listers = 16;
const limit = 5_000;

/** A directory that is listed already, flat or in directories of ten. */
async function largeDirectory(t: TestContext, isDeep: boolean): Promise<{ node: NodeFixture; paths: string[] }> {
  const node = await NodeFixture.start();
  t.after(() => node.remove());
  const bucket = await node.attachBucket(new MemoryBucket(), '/d');
  const paths = Array.from({ length: names }, (_, i) => {
    const name = `${isDeep ? `part-${String(Math.floor(i / 10)).padStart(5, '0')}/` : ''}${String(i).padStart(6, '0')}`;
    bucket.put(name, 1);
    return `/d/${name}`;
  });
  bucket.put('few/a', 1);
  await node.walk('/d');
  return { node, paths };
}

test('slices come in the order in which they were asked for, one a turn of the event loop', async () => {
  const turns = new Turns(systemClock);
  const seen: string[] = [];
  const slices = async (who: string): Promise<void> => {
    for (let slice = 0; slice < 3; slice += 1) {
      await turns.next();
      seen.push(who);
    }
  };
  const all = Promise.all([slices('a'), slices('b')]);
  for (let turn = 0; turn < 8; turn += 1) {
    await turnOfEventLoop();
    seen.push('|');
  }
  await all;
  const perTurn = seen.join('').split('|');
  assert.ok(
    perTurn.every((slice) => slice.length <= 1),
    perTurn.join('|'),
  );
  assert.equal(perTurn.join(''), 'ababab');
});

test('a slice may take as long as all else took since the last one, within limits', async () => {
  const clock = new HandClock();
  const turns = new Turns(clock);
  await clock.advance(7);
  const first = turns.next();
  assert.equal(await first, 7);
  await clock.advance(7 + 20);
  assert.equal(await turns.next(), 20, 'the slice took its 7 ms, and all else 20');
  await clock.advance(20 + 300);
  assert.equal(await turns.next(), 50);
  await clock.advance(50 + 800);
  assert.equal(await turns.next(), 100);
  await clock.advance(100 + 9_000);
  assert.equal(await turns.next(), 250);
  await clock.advance(250);
  assert.equal(await turns.next(), 1);
});

test('a slice that nobody wants any more is refused when its turn comes', async () => {
  const stop = new AbortController();
  const turns = new Turns(systemClock);
  const first = turns.next();
  const second = turns.next(stop.signal);
  stop.abort();
  await first;
  await assert.rejects(second, { code: 'cancelled' });
});

for (const [shape, isDeep] of [
  ['one directory', false],
  ['many directories', true],
] as const) {
  test(`sixteen listings of 20,000 names: look-ups and short listings get in between, ${shape}`, async (t) => {
    const { node, paths } = await largeDirectory(t, isDeep);
    let ended = 0;
    const pages = Array.from({ length: listers }, async () => {
      const page = await node.page('/d', { recursive: true, limit });
      ended += 1;
      return page;
    });
    for (let round = 0; round < 20; round += 1) {
      await turnOfEventLoop();
      const batch = paths.slice(round * 256, (round + 1) * 256);
      assert.ok((await node.lookup(...batch)).every((found) => !('error' in found)));
    }
    // One round: each of the others has a slice, and this one is done.
    assert.equal(unpackEntries((await node.page('/d/few')).entries).length, 1);
    assert.equal(ended, 0, 'whoever asked for a page is at most a slice behind the others');
    for (const { entries } of await Promise.all(pages)) {
      assert.deepEqual(
        unpackEntries(entries).map(({ path }) => path),
        [...paths, '/d/few/a'].toSorted().slice(0, limit),
      );
    }
  });
}

test('many paths are looked up in slices too', async (t) => {
  const { node, paths } = await largeDirectory(t, false);
  let isOver = false;
  const looking = node.lookup(...paths).finally(() => {
    isOver = true;
  });
  for (let turn = 0; turn < 10; turn += 1) await turnOfEventLoop();
  assert.equal(isOver, false);
  assert.equal((await looking).length, names);
});

for (const recursive of [false, true]) {
  test(`a page that takes long ends where it is, and the next goes on, recursive: ${recursive}`, async (t) => {
    const { node, paths } = await largeDirectory(t, false);
    const listed: string[] = [];
    let pages = 0;
    for (let cursor: string | null = null, more = true; more; pages += 1) {
      const asking = { isOver: false };
      const asked: Promise<ListReply> = node.page('/d', { recursive, limit: 10_000, cursor }).finally(() => {
        asking.isOver = true;
      });
      while (!asking.isOver) await node.clock.advance(20);
      const page = await asked;
      const entries = unpackEntries(page.entries);
      // What came before the last may have been all.
      assert.ok(entries.length > 0 || page.cursor === null);
      assert.ok(entries.length < 10_000, `${entries.length}`);
      listed.push(...entries.map(({ path }) => path));
      cursor = page.cursor;
      more = cursor !== null;
    }
    assert.deepEqual(listed, [...paths, recursive ? '/d/few/a' : '/d/few'].toSorted());
    assert.ok(pages >= 4, `${pages} pages`);
  });
}

test('a listing that is given up stops at its next slice', async (t) => {
  const { node } = await largeDirectory(t, false);
  const stop = new AbortController();
  const page = node.metadata.handlers.list(
    { path: '/d', recursive: true, cursor: null, limit },
    { signal: stop.signal },
  );
  await turnOfEventLoop();
  stop.abort();
  await assert.rejects(page, { code: 'cancelled' });
  assert.equal((await node.metadata.lookup(['/d/000000'], never)).length, 1);
});
