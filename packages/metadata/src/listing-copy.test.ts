import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { EntryBlockWriter } from './store/entry-block.ts';
import { encodeEntry } from './store/records.ts';
import { copyingPair } from './testing/copying-pair.ts';
import type { MemoryBucket } from './testing/memory-bucket.ts';
import { never } from './testing/node-fixture.ts';

const files = 30_000;

function blockOf(name: string): Uint8Array {
  let made = new Uint8Array();
  const writer = new EntryBlockWriter(({ value }) => (made = new Uint8Array(value)));
  writer.add(Buffer.from(name), encodeEntry({ type: 'file', size: 1, mtimeMs: 1, tag: '' }));
  writer.end();
  return made;
}

/** Of many partitions and several parts, with names of all classes. */
function fill(bucket: MemoryBucket, size: number): void {
  for (let at = 0; at < files; at += 1) bucket.put(`train/${String((at * 7_919) % files).padStart(32, '0')}.jpg`, size);
  for (const odd of ['a//b', 'é/x', '%41', 'name%', '\u{1f600}', 'sub/x', 'sub.txt', 'sub']) {
    bucket.put(`train/${odd}`, size);
  }
  bucket.put(Buffer.from([...Buffer.from('train/'), 0xff, 0x31]), size);
}

describe('a copy of a listing', () => {
  test('is the listing that it was taken of, and the source is not asked', async (t) => {
    const { bucket, from, to, seen } = await copyingPair(t);
    for (const size of [100, 200]) {
      fill(bucket, size);
      if (size === 200) {
        for (let at = 0; at < files; at += 3) bucket.delete(`train/${String(at).padStart(32, '0')}.jpg`);
        bucket.put('train/new/x', size);
        bucket.delete('train/é/x');
      }
      const wanted = await from.list('/data/train');
      const listed = bucket.asked.lists;
      const { parts } = seen;
      assert.deepEqual(await to.list('/data/train'), wanted);
      assert.ok(bucket.asked.lists - listed <= 1, 'nothing is asked but whether it is a directory');
      assert.ok(seen.parts - parts > 2, `${seen.parts - parts} parts`);
      assert.deepEqual(await to.kinds('/data/train/sub.txt', '/data/train/none'), ['file', 'not-found']);
      for (const node of [from, to]) await node.clock.advance(61_000);
    }
  });

  test('is as old as what it was taken of, and older than allowed is listed again where it is taken', async (t) => {
    const { bucket, from, to, seen } = await copyingPair(t);
    bucket.put('train/1.jpg', 1);
    const pass = async (ms: number): Promise<void> => {
      for (const node of [from, to]) await node.clock.advance(ms);
    };
    await from.list('/data/train');
    await pass(40_000);
    await to.list('/data/train');
    const [first] = [await to.page('/data/train')];
    assert.equal(first.ageSeconds, 40);
    bucket.put('train/2.jpg', 1);
    await pass(19_000);
    assert.equal((await to.list('/data/train')).length, 1);
    assert.equal(seen.opened, 1);
    await pass(2_000);
    assert.equal((await to.list('/data/train')).length, 2);
    assert.deepEqual([seen.opened, (await to.page('/data/train')).ageSeconds], [2, 0]);
  });

  test('of which nothing has changed is not sent again, and one of which anything has is', async (t) => {
    const { bucket, from, to, seen } = await copyingPair(t);
    fill(bucket, 100);
    const next = async (): Promise<number> => {
      for (const node of [from, to]) await node.clock.advance(61_000);
      const { parts } = seen;
      assert.deepEqual(await to.list('/data/train'), await from.list('/data/train'));
      assert.equal((await to.page('/data/train')).ageSeconds, 0);
      return seen.parts - parts;
    };
    const all = await next();
    assert.ok(all > 2, `${all} parts`);
    assert.deepEqual([await next(), await next()], [1, 1]);
    bucket.put('train/sub.txt', 7);
    assert.equal(await next(), all);
    assert.equal(await next(), 1);
    bucket.delete('train/sub.txt');
    assert.equal(await next(), all);
    // What has become another listing here meanwhile is no copy of anything.
    seen.bend = () => assert.fail('away');
    for (const node of [from, to]) await node.clock.advance(61_000);
    bucket.put('train/sub.txt', 8);
    await to.list('/data/train');
    seen.bend = (part) => part;
    assert.equal(await next(), all);
    assert.equal(await next(), 1);
  });

  test('that breaks off, is damaged, or is of the wrong class is no answer: the source is listed', async (t) => {
    const { bucket, from, to, seen } = await copyingPair(t);
    fill(bucket, 100);
    const wanted = await from.list('/data/train');
    const isLate = (): boolean => seen.parts % 4 === 3;
    const bends: readonly (typeof seen.bend)[] = [
      (part) => (isLate() ? assert.fail('cut off') : part),
      (part) => (isLate() ? { ...part, blocks: part.blocks.map((block) => block.subarray(0, -40)) } : part),
      (part) => (isLate() ? { ...part, blocks: [Uint8Array.of(9, 9)] } : part),
      (part) => ({ ...part, blocks: part.blocks.toReversed() }),
      (part) => (isLate() ? { ...part, blocks: [blockOf('a/b')] } : part),
      (part) => (isLate() ? { ...part, blocks: [], next: { kind: 0, name: Uint8Array.of(48) } } : part),
      (part) => ({ ...part, kind: 2 }),
      (part) => ({ ...part, kind: 7 }),
    ];
    for (const [at, bend] of bends.entries()) {
      seen.bend = bend;
      seen.parts = 0;
      const listed = bucket.asked.lists;
      assert.deepEqual(await to.list('/data/train'), wanted, `bend ${at}`);
      assert.ok(bucket.asked.lists > listed, `bend ${at}`);
      assert.equal(to.log.lines.filter((line) => line.includes('came to nothing')).length, at + 1);
      await to.clock.advance(61_000);
    }
  });

  test('of what nobody has attached is none', async (t) => {
    const { from } = await copyingPair(t);
    await assert.rejects(
      from.metadata.directories.copyPart(
        { path: '/other', part: null, maxAgeSeconds: 1, known: null, after: null },
        never,
      ),
      {
        code: 'not-found',
      },
    );
  });
});
