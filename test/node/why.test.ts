import assert from 'node:assert/strict';
import { appendFile, mkdir, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';

import type { WhyReply } from '@millpool/protocol';

import { errorOf, objectsOf } from '../harness/command-output.ts';
import { getsOf } from '../harness/fault.ts';
import { FolderNode } from '../harness/folder-node.ts';
import { MillpoolNode } from '../harness/millpool-process.ts';
import { S3Bed } from '../harness/s3-bed.ts';
import { seededBytes } from '../harness/seeded-random.ts';
import { ensureVersitygw } from '../harness/versitygw-binary.ts';

const patienceMs = 60_000;
const pollMs = 100;
const settleMs = 2_100;

type Why = Omit<WhyReply, 'entry'> & { readonly entry: { readonly sizeBytes: number; readonly identity: string } };

async function whyOf(node: FolderNode | MillpoolNode, path: string): Promise<Why> {
  const [why] = objectsOf<Why>(await node.run('why', path, '--json'));
  assert.ok(why !== undefined);
  assert.notEqual(why.sentence, '');
  return why;
}

async function until(node: FolderNode | MillpoolNode, path: string, reason: string): Promise<Why> {
  for (const deadline = Date.now() + patienceMs; ; await sleep(pollMs)) {
    const why = await whyOf(node, path);
    if (why.reason === reason) return why;
    assert.ok(Date.now() < deadline, `${path} stays ${why.reason}, not ${reason}: ${why.sentence}`);
  }
}

describe('why, of a folder', () => {
  let node: FolderNode;
  let path: string;
  let bytes: number;

  before(async () => {
    node = await FolderNode.start('why', { files: 30, seed: 5, bytesMin: 5_000, bytesMax: 9_000 });
    path = node.paths[3] ?? '';
    bytes = node.bytesOf(path).length;
  });
  after(() => node.stop());

  test('what was never read says so, with its owner and what a read would cost', async () => {
    const why = await whyOf(node, path);
    assert.equal(why.reason, 'never-read');
    assert.deepEqual(why.missing, [{ reason: 'never-read', records: 1, bytes, secondsAgo: null }]);
    assert.deepEqual(why.cost, {
      pageCacheBytes: 0,
      deviceBytes: 0,
      gets: 1,
      sourceBytes: bytes,
      kept: 'yes',
      error: null,
    });
    assert.deepEqual([why.source?.now, why.source?.fetches, why.source?.meanFetchSeconds], ['same', 0, null]);
    assert.equal(why.owner?.directory, '/source/part-000');
    assert.ok((why.owner?.shard ?? -1) >= 0 && why.owner?.partition === 0 && why.owner.partitions === 1);
    assert.equal(why.entry.identity, 'weak');
    assert.equal(why.attachment?.source, node.source);
  });

  test('what is cached: device, segment, bytes, and that they are in memory', async () => {
    assert.equal((await node.run('load', node.root, '--wait')).code, 0);
    const why = await whyOf(node, path);
    assert.equal(why.reason, 'cached');
    const [place, ...others] = why.places;
    assert.ok(place !== undefined && others.length === 0);
    assert.equal(place.device, node.node.dataDirectory);
    assert.match(place.segment, /^[0-9a-f]{32}$/);
    assert.deepEqual([place.records, place.bytes], [1, bytes]);
    assert.deepEqual([why.residency.residentBytes, why.missing.length, why.cost.gets], [bytes, 0, 0]);
    assert.equal(why.cost.pageCacheBytes + why.cost.deviceBytes, bytes);
    assert.ok((why.source?.fetches ?? 0) >= 30 && (why.source?.meanFetchSeconds ?? 0) > 0);
    assert.deepEqual([why.owner?.listing, why.owner?.listingFresh], ['whole', true]);
    const text = await node.run('why', path);
    assert.match(text.stdout, new RegExp(`segment ${place.segment}`));
    assert.match(text.stdout, /a read now .*from (memory|the device)/);
  });

  test('what was freed says so, and so does what its source changed or lost since it was listed', async () => {
    const [freed = '', changed = '', gone = ''] = node.paths.slice(10, 13);
    assert.equal((await node.run('free', freed)).code, 0);
    const why = await whyOf(node, freed);
    assert.equal(why.reason, 'freed');
    assert.ok((why.missing[0]?.secondsAgo ?? -1) >= 0);

    await appendFile(join(node.directory, changed), 'more');
    await rm(join(node.directory, gone));
    const other = await whyOf(node, changed);
    assert.deepEqual([other.reason, other.source?.now], ['changed', 'changed']);
    assert.equal(other.residency.residentBytes, node.bytesOf(changed).length, 'the version listed is here still');
    const lost = await whyOf(node, gone);
    assert.deepEqual([lost.reason, lost.source?.now], ['changed', 'gone']);
  });

  test('what the listing does not have yet, an empty file, directories, and no such path', async () => {
    await writeFile(join(node.source, 'part-000', 'new'), 'new');
    assert.equal((await whyOf(node, '/source/part-000/new')).reason, 'unlisted');
    await mkdir(join(node.source, 'fresh'));
    await writeFile(join(node.source, 'fresh', 'empty'), '');
    assert.equal((await whyOf(node, '/source/fresh/empty')).reason, 'empty');
    for (const directory of ['/', '/source', '/source/part-000']) {
      assert.equal((await whyOf(node, directory)).reason, 'directory');
    }
    const absent = await node.run('why', '/source/part-000/absent', '--json');
    assert.deepEqual([absent.code, errorOf(absent).code], [4, 'not-found']);
    const beside = await node.run('why', '/beside', '--json');
    assert.deepEqual([beside.code, errorOf(beside).code], [4, 'not-found']);
  });

  test('what was written a moment ago is young, and is kept at the next read', async () => {
    const folder = join(node.directory, 'young');
    await mkdir(folder);
    assert.equal((await node.run('attach', folder)).code, 0);
    // The file must be read within 2 s of being written: a machine that is too busy for that tries again.
    let why: Why;
    let n = 0;
    do {
      n += 1;
      await writeFile(join(folder, `${n}`), Buffer.alloc(100, n));
      assert.equal((await node.run('cat', `/young/${n}`)).code, 0);
      why = await whyOf(node, `/young/${n}`);
    } while (why.reason === 'cached' && n < 50);
    assert.equal(why.reason, 'young');
    await sleep(settleMs);
    assert.equal((await node.run('cat', `/young/${n}`)).code, 0);
    await until(node, `/young/${n}`, 'cached');
  });

  test('the policy stream keeps nothing, read or not', async () => {
    const folder = join(node.directory, 'streamed');
    await mkdir(folder);
    await writeFile(join(folder, 'a'), 'bytes');
    await sleep(settleMs);
    assert.equal((await node.run('attach', folder, '--policy', 'stream')).code, 0);
    for (let reads = 0; reads < 2; reads += 1) {
      const why = await whyOf(node, '/streamed/a');
      assert.deepEqual([why.reason, why.cost.kept, why.attachment?.policy], ['policy', 'policy', 'stream']);
      assert.equal((await node.run('cat', '/streamed/a')).stdout, 'bytes');
    }
  });
});

test('a cache without room says full, one that gives segments up says evicted', async (t) => {
  const large = { files: 24, seed: 6, bytesMin: 4 << 20, bytesMax: 5 << 20 };
  const node = await FolderNode.start('why-full', large, ['--size', '64MiB', '--policy', 'keep']);
  t.after(() => node.stop());
  assert.equal((await node.run('load', node.root, '--wait')).code, 3, 'not all of it finds room');
  const reasons = await Promise.all(node.paths.map(async (path) => (await whyOf(node, path)).reason));
  assert.ok(reasons.includes('cached'), reasons.join(' '));
  assert.ok(
    reasons.some((reason) => reason === 'full' || reason === 'share'),
    reasons.join(' '),
  );

  assert.equal((await node.run('detach', node.root)).code, 0);
  assert.equal((await node.run('attach', node.source, '--policy', 'sieve')).code, 0);
  await node.run('load', node.root, '--wait');
  const evicted = async (): Promise<boolean> => {
    for (const path of node.paths) if ((await whyOf(node, path)).missing.some(isEvicted)) return true;
    return false;
  };
  const isEvicted = ({ reason }: { readonly reason: string }): boolean => reason === 'evicted';
  for (const deadline = Date.now() + patienceMs; !(await evicted());) {
    assert.ok(Date.now() < deadline, 'nothing is evicted');
  }
});

test('a source that is away: what is not here would fail, and why', async (t) => {
  const node = await FolderNode.start('why-away', { files: 10, seed: 7, bytesMin: 100, bytesMax: 200 });
  t.after(() => node.stop());
  const [path = ''] = node.paths;
  assert.equal((await node.run('ls', '-R', node.root)).code, 0);
  const hidden = `${node.source}-hidden`;
  await node.restart('SIGINT', [], () => rename(node.source, hidden));
  const why = await whyOf(node, path);
  assert.deepEqual([why.reason, why.source?.now], ['never-read', 'unknown']);
  assert.equal(why.cost.error?.code, 'source-unavailable');
  assert.equal((await node.run('cat', path)).code, 1);
  const text = await node.run('why', path);
  assert.match(text.stdout, /it would fail: /);
  await rename(hidden, node.source);
});

const versitygw = await ensureVersitygw({ say: (text) => void process.stderr.write(`${text}\n`) });

describe('why, of a bucket that fails', { skip: versitygw.kind === 'unavailable' ? versitygw.why : false }, () => {
  let bed: S3Bed;
  let node: MillpoolNode;

  before(async () => {
    assert.ok(versitygw.kind === 'ready');
    bed = await S3Bed.start('why', versitygw.what);
    for (const key of ['held', 'broken']) await bed.put(key, seededBytes(1, 30_000));
    await bed.settle();
    node = await bed.startNode({ env: { MILLPOOL_SOURCE_TIMEOUT: '2s' } });
  });
  after(() => bed.stop());

  test('what is being fetched, and what could not be, with the error', async () => {
    const fault = { kind: 'hang-before-header' } as const;
    bed.proxy.script({ fault, probability: 1, matches: getsOf('held') });
    const reading = node.run('cat', `${bed.root}/held`);
    await until(node, `${bed.root}/held`, 'under-way');
    assert.notEqual((await reading).code, 0);
    assert.ok(bed.proxy.count('hang-before-header') > 0, 'the fault was in force');
    const why = await until(node, `${bed.root}/held`, 'failed');
    assert.match(why.sentence, /held/);
    assert.match(why.source?.lastError?.message ?? '', /held/);
    assert.equal(why.entry.identity, 'strong');
    bed.proxy.script();
    assert.equal((await node.run('cat', `${bed.root}/held`)).code, 0);
    await until(node, `${bed.root}/held`, 'cached');
  });
});
