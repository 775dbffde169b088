import assert from 'node:assert/strict';
import { mkdtemp, readdir, rm, truncate } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';

import { DatasetFile, DatasetFileWriter } from './dataset-file.ts';
import type { DiffPage, DiffPlace } from './dataset-file.ts';
import { identityHash } from './engine.ts';
import { packObjects } from './object-list.ts';
import { bytesOf, TestEngine, testFiles, timeoutMs } from './testing/test-engine.ts';

const files = testFiles(30);
const entries = files.map((file) => ({ ...file, path: file.name }));
let engine: TestEngine;
let folder: string;

before(async () => {
  engine = await TestEngine.start();
  folder = await mkdtemp(join(tmpdir(), 'millpool-dataset-'));
});
after(async () => {
  await engine.stop();
  await rm(folder, { recursive: true });
});

function writer(file: string): DatasetFileWriter {
  return new DatasetFileWriter({ file, root: '/data', identity: engine.identity });
}

test('a written version is read back, and its content alone gives its name', async () => {
  const file = join(folder, 'a');
  const first = writer(file);
  first.push(entries.slice(0, 10));
  first.push(entries.slice(10));
  const summary = await first.finish();
  const bytes = files.reduce((sum, each) => sum + each.size, 0);
  assert.deepEqual([summary.count, summary.bytes], [files.length, bytes]);
  assert.match(summary.version, /^[0-9a-f]{64}$/);

  const second = writer(join(folder, 'b'));
  second.push(entries);
  assert.equal((await second.finish()).version, summary.version);

  const dataset = DatasetFile.open(file);
  assert.deepEqual([dataset.version, dataset.length, dataset.bytes], [summary.version, files.length, bytes]);
  assert.deepEqual([dataset.identity, dataset.root], [identityHash(engine.identity), '/data']);
  assert.deepEqual([dataset.path(7), dataset.size(7)], [files[7]!.name, files[7]!.size]);
  assert.throws(() => dataset.path(files.length), { code: 'invalid' });
});

test('two versions are compared page by page, and a header is read alone', async () => {
  const [earlier, later] = [join(folder, 'earlier'), join(folder, 'later')];
  const changed = entries.slice(1).map((entry, i) => (i === 3 ? { ...entry, size: entry.size + 1 } : entry));
  for (const [file, rows] of [
    [earlier, entries.slice(0, -1)],
    [later, changed],
  ] as const) {
    const made = writer(file);
    made.push(rows);
    await made.finish();
  }
  const left = DatasetFile.open(earlier);
  const right = DatasetFile.open(later);
  const found = [];
  for (let place: DiffPlace | null = { before: 0, after: 0 }; place !== null;) {
    const page: DiffPage = await left.diff(right, place, 2);
    assert(page.changes.length <= 2);
    found.push(...page.changes);
    place = page.next;
  }
  const [first, fifth, last] = [entries[0]!, entries[4]!, entries.at(-1)!];
  assert.deepEqual(found, [
    { kind: 'removed', path: first.path, before: first.size, after: null },
    { kind: 'changed', path: fifth.path, before: fifth.size, after: fifth.size + 1 },
    { kind: 'added', path: last.path, before: null, after: last.size },
  ]);
  await assert.rejects(left.diff(right, { before: 1_000, after: 0 }, 2), { code: 'invalid' });
  const { version, length: count, bytes } = right;
  assert.deepEqual(await DatasetFile.describe(later), { version, root: '/data', count, bytes });
  await assert.rejects(DatasetFile.describe(join(folder, 'absent')), { code: 'not-found' });
});

test('paths out of order are refused, and nothing is left of an abandoned version', async () => {
  const file = join(folder, 'c');
  const wrong = writer(file);
  assert.throws(() => wrong.push([entries[1]!, entries[0]!]), { code: 'invalid' });
  wrong.abandon();
  assert(!(await readdir(folder)).some((name) => name.startsWith('c')));
});

test('a version that was cut is refused', async () => {
  const file = join(folder, 'd');
  const cut = writer(file);
  cut.push(entries);
  await cut.finish();
  await truncate(file, 600);
  assert.throws(() => DatasetFile.open(file), { code: 'corrupt' });
});

test('a daemon hands a version out, reads of it are by index, and it is fetched by index', async () => {
  const file = join(engine.folder, 'datasets', 'new');
  const made = writer(file);
  made.push(entries);
  const { version } = await made.finish();
  await engine.publish(file, version);

  using client = await engine.connect();
  const dataset = await client.dataset(version, { timeoutMs });
  const samples = Float64Array.of(29, 3, 3);
  const progress = await engine.engine.fetchSamples(version, samples, 1).done;
  assert.equal(progress.objectsDone, 3);
  await engine.engine.flush(timeoutMs);
  using batch = await client.readSamples(dataset, samples, { timeoutMs });
  assert.equal(batch.hits, 3);
  for (const [i, sample] of samples.entries()) {
    assert.equal(Buffer.compare(batch.sample(i), await bytesOf(files[sample]!)), 0);
  }

  const run = { timeoutMs, signal: new AbortController().signal, plan: 0, positions: [] };
  const batches = await client.readRun(dataset, [samples, Float64Array.of(7), samples], run);
  assert.equal(batches.length, 1, 'the second is not here');
  assert.deepEqual([batches[0]!.length, batches[0]!.hits, batches[0]!.bytes], [3, 3, batch.bytes]);
  for (const read of batches) read.release();

  assert.equal(await engine.engine.wholeAt(version), null, 'the others are not here');
  const all = Float64Array.from(entries.keys());
  await engine.engine.fetchSamples(version, all, 1).done;
  await engine.engine.flush(timeoutMs);
  assert.equal(await engine.engine.wholeAt(version), engine.engine.removals());
  const again = await engine.engine.fetchSamples(version, all, 1).done;
  assert.equal(again.objects, 0, 'what is resident is not asked for');
  await engine.engine.evict(Uint32Array.from(engine.engine.segments(), ({ number }) => number));
  assert.equal(await engine.engine.wholeAt(version), null);

  const unknown = engine.engine.fetchSamples('00'.repeat(32), samples, 1);
  await assert.rejects(unknown.done, { code: 'not-found' });
});

test('what its source has replaced is forgotten, but for what a version names that somebody reads', async () => {
  const file = join(engine.folder, 'datasets', 'held');
  const made = writer(file);
  const held = entries.slice(0, 10);
  made.push(held);
  const { version } = await made.finish();
  await engine.publish(file, version);
  const all = packObjects(entries);
  await engine.fill(all);
  assert.equal(engine.engine.counters().records, entries.length);

  const some = await engine.engine.forgetReplaced(all, [version]);
  assert.deepEqual([some.records, some.held], [entries.length - held.length, held.length]);
  const left = [...engine.engine.residency(all)];
  assert.deepEqual(
    left.map((bytes) => bytes > 0),
    entries.map((_, i) => i < held.length),
  );
  assert.deepEqual(await engine.engine.forgetReplaced(all, []).then(({ records }) => records), held.length);
  assert.equal(engine.engine.counters().records, 0);
  await assert.rejects(engine.engine.forgetReplaced(all, ['00']), { code: 'invalid' });
});
