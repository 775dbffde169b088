import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';

import { connect } from '@millpool/client';
import type { Dataset, Mill } from '@millpool/client';

import { errorOf, errorsOf, objectsOf } from '../harness/command-output.ts';
import { getsOf } from '../harness/fault.ts';
import type { MillpoolNode } from '../harness/millpool-process.ts';
import { S3Bed } from '../harness/s3-bed.ts';
import { seededBytes } from '../harness/seeded-random.ts';
import { ensureVersitygw } from '../harness/versitygw-binary.ts';

const versitygw = await ensureVersitygw({ say: (text) => void process.stderr.write(`${text}\n`) });
const skip = versitygw.kind === 'unavailable' ? versitygw.why : false;
const files = 40;
const freshnessMs = 1000;

describe('objects that change, go, or come cut short', { skip }, () => {
  let bed: S3Bed;
  let node: MillpoolNode;
  let mill: Mill;
  /** Of what was there at first. */
  let data: Dataset;
  let first: ReadonlyMap<string, Buffer>;

  before(async () => {
    assert.ok(versitygw.kind === 'ready');
    bed = await S3Bed.start('changes', versitygw.what);
    for (let i = 0; i < files; i += 1) {
      await bed.put(`part/${String(i).padStart(2, '0')}`, seededBytes(i, 3000 + i));
    }
    await bed.put('large', seededBytes(files, 9 << 20));
    await bed.settle();
    node = await bed.startNode({ sources: [], env: { MILLPOOL_SOURCE_TIMEOUT: '2s' } });
    objectsOf(await node.run('attach', bed.source, '--freshness', `ttl=${freshnessMs}ms`, '--json'));
    mill = await connect({ socket: node.socket });
    data = await mill.dataset(bed.root);
    first = new Map(bed.paths.map((path) => [path, bed.bytesOf(path)]));
  });
  after(async () => {
    await mill.close();
    await node.stop();
    await bed.stop();
  });

  const partPath = (i: number): string => `${bed.root}/part/${String(i).padStart(2, '0')}`;

  function numberOf(path: string): number {
    for (let i = 0; i < data.length; i += 1) if (data.path(i) === path) return i;
    throw new Error(`the dataset holds no ${path}`);
  }

  /** What was read by path before is not older than the attachment's freshness. */
  const pastFreshness = (): Promise<void> => sleep(freshnessMs + 100);

  test('a changed object is "source-changed" in a dataset, and the new bytes by its path', async () => {
    const [changed, other] = [partPath(3), partPath(4)];
    await bed.put('part/03', seededBytes(1003, 3003));
    using kept = await data.readMany([numberOf(changed), numberOf(other)], { onError: 'keep' });
    assert.deepEqual([kept.error(0)?.code, kept.error(1)], ['source-changed', undefined]);
    assert.match(kept.error(0)?.message ?? '', /s3:\/\/changes\/part\/03/);
    assert.deepEqual(Buffer.from(kept.sample(1)), bed.bytesOf(other));
    using skipped = await data.readMany([numberOf(changed), numberOf(other)], { onError: 'skip' });
    assert.deepEqual([skipped.length, skipped.path(0)], [1, other]);
    await assert.rejects(data.readMany([numberOf(other), numberOf(changed)]), {
      code: 'source-changed',
      path: changed,
    });
    await pastFreshness();
    assert.deepEqual(Buffer.from(await mill.read(changed)), bed.bytesOf(changed));
  });

  test('what is resident of the old version stays readable through it, and by path the new bytes come', async () => {
    const path = partPath(5);
    using resident = await data.readMany([numberOf(path)]);
    assert.deepEqual(Buffer.from(resident.sample(0)), first.get(path));
    objectsOf(await node.run('load', path, '--wait', '--json'));
    await bed.put('part/05', seededBytes(1005, 5000));
    await pastFreshness();
    assert.deepEqual(Buffer.from(await mill.read(path)), bed.bytesOf(path));
    using old = await data.readMany([numberOf(path)]);
    assert.deepEqual(Buffer.from(old.sample(0)), first.get(path));
  });

  test('a deleted object is "not-found", by its number and by its path, and exit code 4', async () => {
    const path = partPath(6);
    await bed.remove('part/06');
    using kept = await data.readMany([numberOf(path), numberOf(partPath(7))], { onError: 'keep' });
    assert.deepEqual([kept.error(0)?.code, kept.error(1)], ['not-found', undefined]);
    await pastFreshness();
    await assert.rejects(mill.read(path), { code: 'not-found', path });
    const cat = await node.run('cat', path, '--json');
    assert.deepEqual([cat.code, errorOf(cat).code], [4, 'not-found']);
  });

  test('a large object that changes between two of its pieces is never of two versions', async () => {
    const path = `${bed.root}/large`;
    const piece = await mill.read(path, { offset: 0, length: 1 });
    assert.deepEqual(Buffer.from(piece), first.get(path)?.subarray(0, 1));
    await bed.put('large', seededBytes(2000, 9 << 20));
    await assert.rejects(data.readMany([numberOf(path)]), { code: 'source-changed', path });
    await pastFreshness();
    assert.deepEqual(Buffer.from(await mill.read(path)), bed.bytesOf(path));
  });

  test('an object that always comes cut short is an error; the others are right, and so is its next read', async () => {
    const [cut, other] = [partPath(10), partPath(11)];
    bed.proxy.script({ fault: { kind: 'cut', afterBytes: 1000 }, probability: 1, matches: getsOf('part/10') });
    using kept = await data.readMany([numberOf(cut), numberOf(other)], { onError: 'keep' });
    assert.deepEqual([kept.error(0)?.code, kept.error(1)], ['source-broken', undefined]);
    assert.ok(bed.proxy.count('cut') > 1, 'it was in force, and asked again');
    assert.deepEqual(Buffer.from(kept.sample(1)), bed.bytesOf(other));
    bed.proxy.script();
    assert.deepEqual(Buffer.from(await mill.read(cut)), bed.bytesOf(cut));
  });

  test('an answer with another ETag is "source-changed", whatever its bytes are', async () => {
    const path = partPath(12);
    const fault = { kind: 'wrong-etag', etag: '"0123456789abcdef"' } as const;
    bed.proxy.script({ fault, probability: 1, matches: getsOf('part/12') });
    await assert.rejects(mill.read(path), { code: 'source-changed', message: /0123456789abcdef/, path });
    assert.equal(bed.proxy.count('wrong-etag'), 2, 'once more with what the source says it is');
    bed.proxy.script();
    assert.deepEqual(Buffer.from(await mill.read(path)), bed.bytesOf(path));
  });

  test('a loader over the old version: raise names the sample, skip and keep go on with all the others', async () => {
    const changed = new Set([3, 6, 20].map((i) => numberOf(partPath(i))).concat(numberOf(`${bed.root}/large`)));
    await bed.remove('part/20');
    const raising = (async () => {
      for await (const batch of data.loader({ batchSize: 8 })) batch.release();
    })();
    await assert.rejects(raising, { code: /source-changed|not-found/, path: /^\/changes\/(part\/(03|06|20)|large)$/ });

    for (const onError of ['skip', 'keep'] as const) {
      const loader = data.loader({ batchSize: 8, onError });
      const [read, failed] = [new Set<number>(), new Set<number>()];
      for await (using batch of loader) {
        for (let i = 0; i < batch.length; i += 1) {
          if (batch.error(i) !== undefined) failed.add(batch.index(i));
          else assert.deepEqual(Buffer.from(batch.sample(i)), first.get(batch.path(i)), batch.path(i));
          if (batch.error(i) === undefined) read.add(batch.index(i));
        }
      }
      assert.equal(read.size, data.length - changed.size);
      assert.deepEqual(failed, onError === 'keep' ? changed : new Set());
      assert.equal(loader.report().skipped, onError === 'skip' ? changed.size : 0);
    }
  });

  test('load of a directory lists what it could not bring, with exit code 3', async () => {
    bed.proxy.script({ fault: { kind: 'cut', afterBytes: 10 }, probability: 1, matches: getsOf('part/30') });
    objectsOf(await node.run('free', bed.root, '--json'));
    const load = await node.run('load', `${bed.root}/part`, '--wait', '--json');
    assert.deepEqual(
      [load.code, errorsOf(load).map(({ path, code }) => [path, code])],
      [3, [[partPath(30), 'source-broken']]],
    );
    bed.proxy.script();
  });
});
