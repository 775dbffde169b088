import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { TestContext } from 'node:test';

import { openLmdbStore } from '@millpool/coordination';
import { silentLog } from '@millpool/host';
import { unpackObjects } from '@millpool/native';

import { directoryOf } from './directory.ts';
import type { Directory } from './directory.ts';
import { Entries } from './entries.ts';
import { FirstListing } from './first-listing.ts';
import { HotNames } from './hot-names.ts';
import { Partitions } from './partitions.ts';
import { ReplacedVersions } from './replaced-versions.ts';
import { MetadataStore } from './store/environment.ts';
import { directoryKey } from './store/keys.ts';
import { decodeDirectory } from './store/records.ts';
import type { DirectoryRecord } from './store/records.ts';
import { WriteBuffer } from './store/write-buffer.ts';
import { MemoryBucket } from './testing/memory-bucket.ts';
import { never, NodeFixture } from './testing/node-fixture.ts';
import { randomOf } from './testing/random.ts';
import { Turns } from './turns.ts';

const shards = 64;
const roomy = 1024 ** 2;

/** Tables over a store of one process, in which directories are listed at will. */
class Shelf {
  readonly names: HotNames;
  nowMs = 1_000;
  readonly #store: MetadataStore;
  readonly #partitions: Partitions;

  private constructor(store: MetadataStore, partitions: Partitions, bytesMax: number) {
    this.#store = store;
    this.#partitions = partitions;
    this.names = new HotNames({
      store,
      partitions,
      entries: new Entries(store, partitions),
      turns: new Turns({ monotonicMs: () => 0 }),
      nowMs: () => this.nowMs,
      bytesMax,
    });
  }

  static async make(t: TestContext, bytesMax: number): Promise<Shelf> {
    const at = await mkdtemp(join(tmpdir(), 'millpool-names-'));
    const coordination = await openLmdbStore(join(at, 'coordination'));
    const store = await MetadataStore.open({ directory: join(at, 'm'), coordination: 'one', log: silentLog });
    const partitions = await Partitions.open({ store, coordination, shards, namesMax: 100 });
    const shelf = new Shelf(store, partitions, bytesMax);
    t.after(async () => {
      await shelf.names.stop();
      await store.close();
      await coordination.close();
      await rm(at, { recursive: true });
    });
    return shelf;
  }

  /** Of files whose sizes are the lengths of their names. */
  async list(path: string, names: readonly string[]): Promise<Directory> {
    const prefix = Buffer.from(`${path.slice(1)}/`);
    const directory = directoryOf({ attachment: 5, path, prefix }, shards);
    const [store, partitions] = [this.#store, this.#partitions];
    const kept = { store, partitions, entries: new Entries(store, partitions), replaced: new ReplacedVersions() };
    const buffer = new WriteBuffer(store);
    const update = await FirstListing.begin(kept, { directory, former: null, buffer });
    for (const name of names.toSorted())
      update.addFile(Buffer.from(name), { type: 'file', size: name.length, mtimeMs: 1, tag: '"t"' });
    await update.finish({ listedAtMs: this.nowMs, subtreeListedAtMs: 0 });
    await buffer.flush();
    return directory;
  }

  record(directory: Directory): DirectoryRecord {
    return decodeDirectory(this.#store.get(directoryKey(directory)) ?? Buffer.alloc(0));
  }

  /** The same look-ups again until a table answers, or for some turns. */
  async lookUp(directory: Directory, names: number, change: Partial<DirectoryRecord> = {}): Promise<void> {
    const record = this.record(directory);
    const current = (): DirectoryRecord => ({ ...record, ...change });
    this.names.lookedUp({ directory, record, freshUntilMs: this.nowMs + 60_000, names, current });
    for (let turn = 0; turn < 200; turn += 1) await new Promise((resolve) => setImmediate(resolve));
  }

  found(...paths: string[]): string[] {
    return unpackObjects(this.names.find(paths).objects).map(
      ({ attachment, sourceKey, size, tag }) => `${attachment} ${Buffer.from(sourceKey).toString()} ${size} ${tag}`,
    );
  }
}

const many = Array.from({ length: 640 }, (_, at) => `n${at}`);

test('a directory has a table once it was looked up enough, in whatever partitions its names lie', async (t) => {
  const shelf = await Shelf.make(t, roomy);
  const directory = await shelf.list('/d', many);
  await shelf.lookUp(directory, 10);
  assert.deepEqual(shelf.found('/d/n7'), []);
  await shelf.lookUp(directory, 10);
  assert.deepEqual(shelf.found('/d/n7', '/d/none', '/d/n639', '/e/n7', '/d'), ['5 d/n7 2 "t"', '5 d/n639 4 "t"']);
  assert.equal(shelf.found(...many.map((name) => `/d/${name}`)).length, many.length);
  assert.deepEqual(shelf.found('/d/n7\0', '/d/n8'), [], 'a path that could be two is none');
});

test('a table answers no longer than the listing is fresh, and not after it changed', async (t) => {
  const shelf = await Shelf.make(t, roomy);
  const directory = await shelf.list('/d', ['a', 'b']);
  await shelf.lookUp(directory, 1);
  shelf.nowMs += 60_000;
  assert.deepEqual(shelf.found('/d/a'), ['5 d/a 1 "t"']);
  shelf.nowMs += 1;
  assert.deepEqual(shelf.found('/d/a'), []);
  await shelf.lookUp(directory, 1);
  assert.deepEqual(shelf.found('/d/a'), ['5 d/a 1 "t"'], 'listed again, and nothing had changed');
  shelf.names.changed(directory);
  assert.deepEqual(shelf.found('/d/a'), []);
  await shelf.lookUp(directory, 1);
  shelf.names.clear();
  assert.deepEqual(shelf.found('/d/a'), []);
});

test('what changes while a table is made is not kept', async (t) => {
  const shelf = await Shelf.make(t, roomy);
  const directory = await shelf.list('/d', ['a', 'b']);
  for (const change of [{ generation: 9 }, { state: 'applying' }] as const) {
    await shelf.lookUp(directory, 1, change);
    assert.deepEqual(shelf.found('/d/a'), []);
  }
  await shelf.lookUp(directory, 1);
  assert.deepEqual(shelf.found('/d/a'), ['5 d/a 1 "t"']);
});

test('there is no table for what has no room, nor where none is wanted', async (t) => {
  const shelf = await Shelf.make(t, 2_000);
  const [large, small] = [await shelf.list('/large', many), await shelf.list('/small', ['a'])];
  await shelf.lookUp(large, 10_000);
  await shelf.lookUp(small, 1);
  assert.deepEqual(shelf.found('/large/n7', '/small/a'), ['5 small/a 1 "t"']);
  const without = await Shelf.make(t, 0);
  await without.lookUp(await without.list('/d', ['a']), 1_000);
  assert.deepEqual(without.found('/d/a'), []);
});

test('objects are what look-ups say, whatever changes: many rounds', async (t) => {
  const node = await NodeFixture.start({ hotNamesBytes: roomy });
  t.after(() => node.remove());
  const bucket = await node.attachBucket(new MemoryBucket('pre/'), '/d');
  const random = randomOf(7);
  const below = (end: number): number => Math.floor(random() * end);
  const all = ['a', 'b%2Fc', 'é', 'e.txt', 'f'].flatMap((name) => [name, `s/${name}`, `s/t/${name}`]);
  for (let round = 0; round < 150; round += 1) {
    const key = `pre/${all[below(all.length)]}`.replace('%2F', '//');
    if (below(3) === 0) bucket.delete(key);
    else bucket.put(key, round);
    if (below(4) === 0) await node.clock.advance(1_000 * below(90));
    const [attached] = node.metadata.attachments();
    if (below(20) === 0 && attached !== undefined) await node.metadata.handlers.detach(attached, { signal: never });
    if (node.metadata.attachments().length === 0) await node.attach(bucket.source, below(2) === 0 ? '/d' : '/d/s');
    if (below(3) === 0) for (const path of ['/d', '/d/s', '/d/s/t']) await node.page(path).catch(() => undefined);
    const asked = Array.from({ length: 40 }, () => `/d/${all[below(all.length)]}${below(9) === 0 ? '/x' : ''}`);
    asked.push('/d/s', '/', '/elsewhere');
    const looked = await node.lookup(...asked);
    const { objects, failures } = await node.metadata.objects(asked, never);
    const files = looked.flatMap((result) => ('error' in result || result.type === 'directory' ? [] : [result]));
    assert.deepEqual(
      unpackObjects(objects),
      files.map(({ attachment, sourceKey, size, tag }) => ({ attachment, size, tag, sourceKey })),
    );
    const failed = looked.flatMap((result, at) => ('error' in result || result.type === 'directory' ? [at] : []));
    assert.deepEqual(
      failures.map(({ index }) => index),
      failed,
    );
  }
});
