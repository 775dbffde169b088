import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { TestContext } from 'node:test';

import { openLmdbStore } from '@millpool/coordination';
import { silentLog } from '@millpool/host';
import { bytesOfName } from '@millpool/protocol';
import fc from 'fast-check';

import { directoryOf } from './directory.ts';
import type { Directory } from './directory.ts';
import { Entries } from './entries.ts';
import type { EntryScan } from './entry-scan.ts';
import { FirstListing } from './first-listing.ts';
import { hashName } from './name-hash.ts';
import { locate, nextSplit, partitionsOf, shardOf } from './partition-map.ts';
import { Partitions } from './partitions.ts';
import { Relisting } from './relisting.ts';
import { ReplacedVersions } from './replaced-versions.ts';
import { EntryBlock } from './store/entry-block.ts';
import { MetadataStore } from './store/environment.ts';
import { directoryKey, entryClasses, partitionRange } from './store/keys.ts';
import { decodeDirectory } from './store/records.ts';
import type { DirectoryRecord, EntryRecord } from './store/records.ts';
import { WriteBuffer } from './store/write-buffer.ts';
import { nameOfOrder, orderOfName } from './stored-entry.ts';
import type { Shelf, Update } from './update.ts';

const shards = 64;
const kinds = Object.values(entryClasses);

async function shelfFor(t: TestContext, namesMax: number): Promise<Shelf> {
  const directory = await mkdtemp(join(tmpdir(), 'millpool-shelf-'));
  const coordination = await openLmdbStore(join(directory, 'coordination'));
  const store = await MetadataStore.open({
    directory: join(directory, 'metadata'),
    coordination: 'one',
    log: silentLog,
  });
  t.after(async () => {
    await store.close();
    await coordination.close();
    await rm(directory, { recursive: true });
  });
  const partitions = await Partitions.open({ store, coordination, shards, namesMax });
  return { store, partitions, entries: new Entries(store, partitions), replaced: new ReplacedVersions() };
}

type Listing = ReadonlyMap<string, { readonly name: string; readonly record: EntryRecord }>;

/** Names of few letters, so that listings meet; odd ones and directories among them. */
const listing: fc.Arbitrary<Listing> = fc
  .array(
    fc.record({
      name: fc.string({
        unit: fc.constantFrom('a', 'b', '-', '0', 'é', '\u{1f600}', '%2F', '%FF'),
        minLength: 1,
        maxLength: 4,
      }),
      type: fc.constantFrom('file', 'file', 'file', 'directory') as fc.Arbitrary<'file' | 'directory'>,
      size: fc.nat({ max: 3 }),
    }),
    { maxLength: 120 },
  )
  .map(
    (entries) =>
      new Map(
        entries.map(({ name, type, size }) => {
          const record =
            type === 'file' ? { type, size, mtimeMs: 1, tag: `"${size}"` } : { type, size: 0, mtimeMs: null, tag: '' };
          return [`${name} ${type}`, { name, record }] as const;
        }),
      ),
  );

async function recordOf(shelf: Shelf, directory: Directory): Promise<DirectoryRecord | null> {
  const record = shelf.store.get(directoryKey(directory));
  return record === undefined ? null : decodeDirectory(record);
}

/** As `Listings` does it, in pages of `pageSize`. */
async function begin(shelf: Shelf, directory: Directory): Promise<{ update: Update; buffer: WriteBuffer }> {
  const buffer = new WriteBuffer(shelf.store);
  const former = await recordOf(shelf, directory);
  const request = { directory, former, buffer };
  const update =
    former?.state === 'complete'
      ? await Relisting.begin(shelf, request, former)
      : await FirstListing.begin(shelf, request);
  return { update, buffer };
}

async function addAll(update: Update, listed: Listing): Promise<void> {
  const entries = [...listed.values()].toSorted((left, right) =>
    orderOfName(left.name) < orderOfName(right.name) ? -1 : 1,
  );
  for (const [at, { name, record }] of entries.entries()) {
    if (record.type === 'directory') update.addDirectory(name);
    else update.addFile(bytesOfName(name), record);
    if (at % 10 === 9) await update.settle();
  }
}

async function list(shelf: Shelf, directory: Directory, listed: Listing): Promise<readonly string[]> {
  const { update, buffer } = await begin(shelf, directory);
  await addAll(update, listed);
  const gone = await update.finish({ listedAtMs: 1, subtreeListedAtMs: 0 });
  await buffer.flush();
  return gone;
}

/** So many entries of a scan, or all that are left. */
function taken(scan: EntryScan, count = Number.POSITIVE_INFINITY): string[] {
  const entries: string[] = [];
  for (; entries.length < count && scan.head !== null; scan.pass()) {
    const { order, record } = scan.head;
    entries.push(`${nameOfOrder(order)} ${record.type} ${record.size}`);
  }
  return entries;
}

function stored(shelf: Shelf, directory: Directory): string[] {
  return taken(shelf.entries.scan(directory, { kinds, from: '', to: null }));
}

function expected(listed: Listing): string[] {
  return [...listed.values()]
    .toSorted((left, right) => {
      const [one, other] = [orderOfName(left.name), orderOfName(right.name)];
      if (one !== other) return one < other ? -1 : 1;
      return left.record.type === 'directory' ? -1 : 1;
    })
    .map(({ name, record }) => `${name} ${record.type} ${record.size}`);
}

let made = 0;
const freshDirectory = (): Directory =>
  directoryOf({ attachment: 1, path: '/d', prefix: Buffer.from(`${++made}/`) }, shards);

test('after any listings, also abandoned ones, the directory is what the last whole one said', async (t) => {
  const shelf = await shelfFor(t, 12);
  await fc.assert(
    fc.asyncProperty(fc.array(fc.tuple(listing, fc.boolean()), { minLength: 1, maxLength: 4 }), async (listings) => {
      const directory = freshDirectory();
      let last: Listing = new Map();
      for (const [listed, isWhole] of listings) {
        if (isWhole) {
          const gone = await list(shelf, directory, listed);
          const isDirectory = (at: string): boolean => at.endsWith(' directory');
          const names = [...last.keys()]
            .filter((at) => isDirectory(at) && !listed.has(at))
            .map((at) => at.slice(0, -10));
          assert.deepEqual(gone.toSorted(), names.toSorted());
          last = listed;
        } else {
          const { update, buffer } = await begin(shelf, directory);
          await addAll(update, listed);
          await update.abandon();
          await buffer.flush();
        }
        const record = await recordOf(shelf, directory);
        if (record?.state !== 'complete') {
          assert.equal(last.size, 0);
          continue;
        }
        assert.deepEqual(stored(shelf, directory), expected(last));
        assertCounts(shelf, directory);
      }
    }),
    { numRuns: 60 },
  );
});

test('listings of many windows and changes that outgrow memory: all changed, a third gone, a third new', async (t) => {
  const shelf = await shelfFor(t, 4_000);
  const directory = freshDirectory();
  const files = (count: number, of: (at: number) => { name: string; size: number } | null): Listing =>
    new Map(
      Array.from({ length: count }, (_, at) => of(at)).flatMap((file) => {
        if (file === null) return [];
        const record = { type: 'file', size: file.size, mtimeMs: null, tag: '' } as const;
        return [[`${file.name} file`, { name: file.name, record }] as const];
      }),
    );
  const name = (at: number): string => (at % 5 === 0 ? `%2F${at}` : `n${at}`);
  const listings = [
    files(40_000, (at) => ({ name: name(at), size: 1 })),
    files(40_000, (at) => ({ name: name(at), size: 2 })),
    files(40_000, (at) => (at % 3 === 0 ? null : { name: name(at), size: 2 })),
    files(60_000, (at) => (at % 3 === 1 ? null : { name: name(at), size: at % 7 === 0 ? 3 : 2 })),
    files(10, (at) => ({ name: name(at), size: 1 })),
    files(0, () => null),
  ];
  for (const listed of listings) {
    await list(shelf, directory, listed);
    assert.deepEqual(stored(shelf, directory), expected(listed));
    assertCounts(shelf, directory);
  }
  assert.ok(partitionsOf(shelf.partitions.mapOf(directory)).length >= 10);
});

test('a scan that is left while its directory changes and splits has once what stays', async (t) => {
  const shelf = await shelfFor(t, 12);
  const keyOf = (entry: string): string => entry.slice(0, entry.lastIndexOf(' '));
  await fc.assert(
    fc.asyncProperty(listing, listing, fc.nat({ max: 120 }), async (before, after, count) => {
      const directory = freshDirectory();
      await list(shelf, directory, before);
      const scan = shelf.entries.scan(directory, { kinds, from: '', to: null });
      const found = taken(scan, count).map(keyOf);
      await list(shelf, directory, after);
      found.push(...taken(scan).map(keyOf));
      const all = expected(new Map([...before, ...after])).map(keyOf);
      const has = new Set(found);
      assert.deepEqual(
        found,
        all.filter((key) => has.has(key)),
        'each once, in order',
      );
      assert.deepEqual(
        [...before.keys()].filter((key) => after.has(key) && !has.has(key)),
        [],
      );
    }),
    { numRuns: 60 },
  );
});

test('more scans than may hold blocks at once: each goes on where it was', async (t) => {
  const shelf = await shelfFor(t, 1_000);
  const directory = freshDirectory();
  const record = { type: 'file', size: 1, mtimeMs: 1, tag: '"1"' } as const;
  await list(
    shelf,
    directory,
    new Map(Array.from({ length: 40 }, (_, n) => [`n${n} file`, { name: `n${n}`, record }])),
  );
  // Each holds a block a class.
  const scans = Array.from({ length: 800 }, () => shelf.entries.scan(directory, { kinds, from: '', to: null }));
  const halves = scans.map((scan) => taken(scan, 20));
  const all = stored(shelf, directory);
  assert.equal(all.length, 40);
  scans.forEach((scan, n) => assert.deepEqual([...(halves[n] ?? []), ...taken(scan)], all));
});

function assertCounts(shelf: Shelf, directory: Directory): void {
  const map = shelf.partitions.mapOf(directory);
  for (const partition of partitionsOf(map)) {
    const range = partitionRange(directory.id, shardOf(map, partition), partition);
    const held = shelf.store.first(range, Number.MAX_SAFE_INTEGER).flatMap(({ value }) => {
      const block = new EntryBlock(value);
      return Array.from({ length: block.count }, (_, at) => block.name(at));
    });
    assert.equal(shelf.partitions.countOf(directory, partition), held.length);
    assert.ok(held.every((name) => locate(map, hashName(name)) === partition));
    assert.ok(held.length <= shelf.partitions.namesMax || nextSplit(map, partition, shards) === null);
  }
}
