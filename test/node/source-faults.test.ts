import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';

import { connect } from '@millpool/client';
import type { Dataset, Mill } from '@millpool/client';
import type { Status } from '@millpool/protocol';

import { errorOf, objectsOf } from '../harness/command-output.ts';
import { everyRequest, getsOf, objectGets } from '../harness/fault.ts';
import type { Fault, FaultRule } from '../harness/fault.ts';
import type { MillpoolNode } from '../harness/millpool-process.ts';
import { S3Bed } from '../harness/s3-bed.ts';
import { seededBytes } from '../harness/seeded-random.ts';
import { ensureVersitygw } from '../harness/versitygw-binary.ts';

const versitygw = await ensureVersitygw({ say: (text) => void process.stderr.write(`${text}\n`) });
const skip = versitygw.kind === 'unavailable' ? versitygw.why : false;
const files = 240;
const slowDown: Fault = { kind: 'status', status: 503, code: 'SlowDown' };

describe('a source that fails', { skip }, () => {
  let bed: S3Bed;
  let node: MillpoolNode;
  let mill: Mill;
  let data: Dataset;

  before(async () => {
    assert.ok(versitygw.kind === 'ready');
    bed = await S3Bed.start('faults', versitygw.what);
    for (let i = 0; i < files; i += 1) {
      await bed.put(`part/${String(i).padStart(4, '0')}`, seededBytes(i, 2000 + 97 * i));
    }
    await bed.put('large', seededBytes(files, 9 << 20));
    await bed.settle();
    node = await bed.startNode({ env: { MILLPOOL_SOURCE_TIMEOUT: '4s' } });
    mill = await connect({ socket: node.socket });
    data = await mill.dataset(bed.root);
  });
  after(async () => {
    await mill.close();
    await node.stop();
    await bed.stop();
  });

  async function statusOfCache(): Promise<Status['cache']> {
    const [status] = objectsOf<Status>(await node.run('status', '--json'));
    assert.ok(status !== undefined);
    return status.cache;
  }

  /** An epoch in which nothing is resident at first; every sample once and right. */
  async function coldEpoch(seed: number, betweenBatches: (samples: number) => Promise<void>): Promise<void> {
    objectsOf(await node.run('free', bed.root, '--json'));
    const seen = new Set<number>();
    for await (using batch of data.loader({ batchSize: 16, shuffle: true, seed })) {
      for (let i = 0; i < batch.length; i += 1) {
        assert.deepEqual(Buffer.from(batch.sample(i)), bed.bytesOf(batch.path(i)), batch.path(i));
        seen.add(batch.index(i));
      }
      await betweenBatches(seen.size);
    }
    assert.equal(seen.size, data.length);
  }

  const storms: readonly (readonly [Fault, number])[] = [
    [slowDown, 0.3],
    [{ kind: 'status', status: 500, code: 'InternalError' }, 0.3],
    [{ kind: 'reset', afterBytes: 1000 }, 0.3],
    [{ kind: 'cut', afterBytes: 1500 }, 0.3],
    [{ kind: 'wrong-length', byBytes: 9 }, 0.3],
    [{ kind: 'wrong-length', byBytes: -9 }, 0.3],
    [{ kind: 'slow', bytesPerSecond: 400_000 }, 0.1],
  ];
  for (const [n, [fault, probability]] of storms.entries()) {
    const { kind, ...how } = fault;
    test(`${kind} ${JSON.stringify(how)} now and then: an epoch is whole, right, and retries counted`, async () => {
      const { retries } = await statusOfCache();
      const earlier = bed.proxy.count(kind);
      bed.proxy.script({ fault, probability, matches: objectGets });
      await coldEpoch(n, async () => undefined);
      bed.proxy.script();
      const met = bed.proxy.count(kind) - earlier;
      assert.ok(met > 0, 'the fault was in force');
      const more = (await statusOfCache()).retries - retries;
      // Slow answers are answers; only on a busy machine may one of them be too late.
      assert.ok(kind === 'slow' ? more < met : more > 0, `${met} faults, ${more} retries`);
    });
  }

  test('a storm without end is one error that names the object, others are read; then it heals', async () => {
    objectsOf(await node.run('free', bed.root, '--json'));
    const [bad = '', good = ''] = bed.paths.slice(1);
    const { sourceErrors } = await statusOfCache();
    const key = bad.slice(bed.root.length + 1);
    bed.proxy.script({ fault: slowDown, probability: 1, matches: getsOf(key) });
    using kept = await mill.readMany([bad, good], { onError: 'keep' });
    assert.deepEqual([kept.error(0)?.code, kept.error(1)], ['source-unavailable', undefined]);
    assert.match(kept.error(0)?.message ?? '', new RegExp(`s3://faults/${key}: .*503 SlowDown.*gave up`));
    assert.deepEqual(Buffer.from(kept.sample(1)), bed.bytesOf(good));
    assert.ok(bed.proxy.count('status') > 0);
    assert.ok((await statusOfCache()).sourceErrors > sourceErrors);
    bed.proxy.script();
    assert.deepEqual(Buffer.from(await mill.read(bad)), bed.bytesOf(bad));
  });

  test('a GET that hangs ends at the deadline of its call, or of the source, each by name; then it heals', async () => {
    objectsOf(await node.run('free', bed.root, '--json'));
    const path = bed.paths[9] ?? '';
    const earlier = bed.proxy.count('hang-before-header');
    bed.proxy.script({ fault: { kind: 'hang-before-header' }, probability: 1, matches: objectGets });
    const call = mill.read(path, { timeoutSeconds: 0.5 });
    await assert.rejects(call, {
      code: 'timeout',
      message: /^waited 0\.5 s for the daemon to fetch it from the source/,
    });
    const message = /waited .* s for the (first byte|whole answer) from 127\.0\.0\.1/;
    await assert.rejects(mill.read(path), { code: 'source-unavailable', message });
    assert.ok(bed.proxy.count('hang-before-header') > earlier + 1, 'it was in force, and asked again');
    bed.proxy.script();
    assert.deepEqual(Buffer.from(await mill.read(path)), bed.bytesOf(path));
  });

  test('a body that stops in its middle is asked for again', async () => {
    const path = `${bed.root}/large`;
    const earlier = bed.proxy.count('hang-in-body');
    let left = 1;
    const once = (request: { readonly method: string; readonly url: string }): boolean =>
      objectGets(request) && left-- > 0;
    bed.proxy.script({ fault: { kind: 'hang-in-body', afterBytes: 100_000 }, probability: 1, matches: once });
    const reading = mill.read(path);
    await bed.proxy.reached('hang-in-body', earlier + 1);
    assert.deepEqual(Buffer.from(await reading), bed.bytesOf(path));
  });

  test('a LIST or HEAD that hangs ends at the deadline of its call, by name, in the SDK and in a command', async () => {
    const earlier = bed.proxy.count('hang-before-header');
    bed.proxy.script({ fault: { kind: 'hang-before-header' }, probability: 1, matches: everyRequest });
    const absent = `${bed.root}/nothing/here`;
    const message = new RegExp(`waited 500ms for the daemon to do stat of ${absent}`);
    await assert.rejects(mill.stat(absent, { timeoutSeconds: 0.5 }), { code: 'timeout', message });
    const cat = await node.run('cat', absent, '--json');
    assert.equal(cat.code, 1);
    assert.equal(errorOf(cat).code, 'timeout');
    assert.match(errorOf(cat).message, /waited 4s for the HEAD in s3:\/\/faults/);
    assert.ok(bed.proxy.count('hang-before-header') > earlier);
    bed.proxy.script();
    await assert.rejects(mill.stat(absent), { code: 'not-found' });
  });

  test('a LIST that fails is an error, never an empty directory', async () => {
    const fresh = await bed.startNode({ sources: [], env: { MILLPOOL_SOURCE_TIMEOUT: '4s' } });
    objectsOf(await fresh.run('attach', bed.source, '--json'));
    const earlier = bed.proxy.count('status');
    bed.proxy.script({ fault: slowDown, probability: 1, matches: everyRequest });
    for (const args of [
      ['ls', bed.root],
      ['load', bed.root, '--wait'],
    ]) {
      const result = await fresh.run(...args, '--json');
      assert.notEqual(result.code, 0, args.join(' '));
      const errors = result.stderr.split('\n').filter((line) => line.startsWith('{"error"'));
      assert.equal(errors.length, 1, `${args.join(' ')}: ${result.stderr}`);
      assert.match(errors[0] ?? '', /"(source-unavailable|timeout)".*s3:\/\/faults/);
    }
    assert.ok(bed.proxy.count('status') > earlier);
    bed.proxy.script();
    const listed = objectsOf(await fresh.run('ls', '-R', bed.root, '--json'));
    assert.deepEqual(
      listed.map((entry) => entry['path']),
      bed.paths,
    );
    await fresh.stop();
  });

  test('a network that is cut in the middle of an epoch, and mended: the epoch goes on, whole and right', async () => {
    let refused: unknown = null;
    let healing: Promise<void> | null = null;
    const smallGets: FaultRule['matches'] = (request) => objectGets(request) && request.url.includes('/part/');
    const cutAndMend = async (): Promise<void> => {
      const { retries } = await statusOfCache();
      await bed.proxy.cutOff();
      refused = await fetch(bed.proxy.endpoint).catch((error: unknown) => error);
      while ((await statusOfCache()).retries === retries) await sleep(50);
      await bed.proxy.mend();
    };
    bed.proxy.script({ fault: { kind: 'slow', bytesPerSecond: 200_000 }, probability: 0.5, matches: smallGets });
    await coldEpoch(99, async (samples) => {
      if (samples > 30) healing ??= cutAndMend();
    });
    await healing;
    assert.ok(refused instanceof Error, 'nobody was to be reached');
  });
});
