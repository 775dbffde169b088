import assert from 'node:assert/strict';
import { test } from 'node:test';

import fc from 'fast-check';
import { comparePaths, MillpoolError } from '@millpool/protocol';
import type { CheckSourceReply, SourceDifference } from '@millpool/protocol';

import { MemoryBucket } from './testing/memory-bucket.ts';
import { never, NodeFixture } from './testing/node-fixture.ts';

type Checked = Omit<CheckSourceReply, 'cursor'> & { readonly pages: number };

async function check(node: NodeFixture, path: string, limit = 10_000): Promise<Checked> {
  const total = { differences: [] as SourceDifference[], files: 0, filesNotCompared: 0, filesWeak: 0, pages: 0 };
  for (let cursor: string | null = null, more = true; more;) {
    const page: CheckSourceReply = await node.metadata.handlers['check-source'](
      { path, cursor, limit },
      { signal: never },
    );
    total.differences.push(...page.differences);
    total.files += page.files;
    total.filesNotCompared += page.filesNotCompared;
    total.filesWeak += page.filesWeak;
    total.pages += 1;
    cursor = page.cursor;
    more = cursor !== null;
  }
  return total;
}

const told = ({ differences }: Checked): string[] =>
  differences.map(({ kind, type, path }) => `${kind} ${path}${type === 'directory' ? '/' : ''}`).toSorted(comparePaths);

async function nodeWith(keys: readonly (string | Uint8Array)[]): Promise<{ node: NodeFixture; bucket: MemoryBucket }> {
  const node = await NodeFixture.start({ partitionNamesMax: 4 });
  const bucket = await node.attachBucket(new MemoryBucket('pre/'), '/d');
  for (const key of keys) bucket.put(Buffer.concat([Buffer.from('pre/'), Buffer.from(key as string)]), 1);
  return { node, bucket };
}

/** Every text sorts elsewhere as a path than as a key, or stands beside a directory of its name, in some pair. */
const parts = ['a', 'a-b', 'a/x', 'a0', 'b/', 'b//c', '/', 'b/c', 'e/f/g', 'e/f%2Fg', 'é', '%25', '\u{1f600}', '.'];

test('what differs is told once, whatever the names are and wherever the pages end', async () => {
  const name = fc
    .tuple(fc.constantFrom(...parts), fc.constantFrom('', '1', '/1', '//2', '%2F'))
    .map((of) => of.join(''));
  const names = fc.uniqueArray(name, { minLength: 1, maxLength: 25 });
  const changes = fc.array(fc.tuple(fc.oneof(name, fc.nat({ max: 24 })), fc.boolean()), { maxLength: 12 });
  await fc.assert(
    fc.asyncProperty(names, changes, fc.integer({ min: 1, max: 6 }), async (keys, puts, limit) => {
      const { node, bucket } = await nodeWith(keys);
      try {
        const before = await tagsBelow(node);
        const same = await check(node, '/d', limit);
        assert.deepEqual([told(same), same.files], [[], before.size]);
        for (const [at, isPut] of puts) {
          const key = `pre/${typeof at === 'string' ? at : (keys[at % keys.length] ?? '')}`;
          if (isPut) bucket.put(key, 1);
          else bucket.delete(key);
        }
        const found = await check(node, '/d', limit);
        assert.deepEqual(await tagsBelow(node), before, 'nothing stored was changed');
        await node.clock.advance(61_000);
        assert.deepEqual(told(found), expectedOf(before, await tagsBelow(node)));
      } finally {
        await node.remove();
      }
    }),
    { numRuns: 40 },
  );
});

async function tagsBelow(node: NodeFixture): Promise<ReadonlyMap<string, string>> {
  return new Map((await node.list('/d', { recursive: true })).map(({ path, tag }) => [path, tag]));
}

function expectedOf(before: ReadonlyMap<string, string>, after: ReadonlyMap<string, string>): string[] {
  const directories = new Set(['/d', ...[...before.keys()].flatMap(directoriesOf)]);
  const lines = [...new Set([...before.keys(), ...after.keys()])].flatMap((path) => {
    if (before.get(path) === after.get(path)) return [];
    const unknown = directoriesOf(path).find((directory) => !directories.has(directory));
    if (unknown !== undefined) return [`new ${unknown}/`];
    return [`${!before.has(path) ? 'new' : !after.has(path) ? 'missing' : 'changed'} ${path}`];
  });
  return [...new Set(lines)].toSorted(comparePaths);
}

function directoriesOf(path: string): string[] {
  return [...path.matchAll(/\//g)].flatMap(({ index }) => (index > 0 ? [path.slice(0, index)] : []));
}

test('a new directory is one line, one that was never listed is one line and no difference', async (t) => {
  const { node, bucket } = await nodeWith(['a/1', 'b/1', 'b/c/1', 'z']);
  t.after(() => node.remove());
  assert.deepEqual(told(await check(node, '/d')), ['unlisted /d/']);
  await node.list('/d');
  await node.list('/d/b');
  for (let i = 0; i < 50; i += 1) bucket.put(`pre/n/${i}/x`, 1);
  bucket.put('pre/b/2', 1);
  bucket.delete('pre/b/1');
  for (const limit of [1, 3, 7, 10_000]) {
    const found = await check(node, '/d', limit);
    assert.deepEqual(told(found), ['missing /d/b/1', 'new /d/b/2', 'new /d/n/', 'unlisted /d/a/', 'unlisted /d/b/c/']);
    assert.deepEqual([found.files, found.filesNotCompared], [3, 52]);
  }
  assert.deepEqual(told(await check(node, '/d/b/c')), ['unlisted /d/b/c/']);
});

test('nothing stored is changed, and freshness is not looked at', async (t) => {
  const { node, bucket } = await nodeWith(['a/1', 'a/2']);
  t.after(() => node.remove());
  await node.walk('/d');
  bucket.delete('pre/a/1');
  for (let round = 0; round < 2; round += 1) assert.deepEqual(told(await check(node, '/')), ['missing /d/a/1']);
  assert.deepEqual(await node.walk('/d'), ['/d/a/1', '/d/a/2']);
});

test('one file; a path that is nowhere; a cursor of elsewhere', async (t) => {
  const { node, bucket } = await nodeWith(['a/1', 'a/2', 'b/1']);
  t.after(() => node.remove());
  await node.walk('/d');
  assert.deepEqual(told(await check(node, '/d/a/1')), []);
  bucket.put('pre/a/1', 1);
  bucket.delete('pre/a/2');
  bucket.put('pre/a/3', 1);
  assert.deepEqual(told(await check(node, '/d/a/1')), ['changed /d/a/1']);
  assert.deepEqual(told(await check(node, '/d/a/2')), ['missing /d/a/2']);
  assert.deepEqual(told(await check(node, '/d/a/3')), ['new /d/a/3']);
  const withCode = (code: string) => (error: unknown) => error instanceof MillpoolError && error.code === code;
  await assert.rejects(check(node, '/d/none'), withCode('not-found'));
  await assert.rejects(check(node, '/none'), withCode('not-found'));
  const page = await node.metadata.handlers['check-source'](
    { path: '/d/a', cursor: null, limit: 1 },
    { signal: never },
  );
  assert.notEqual(page.cursor, null);
  for (const cursor of [page.cursor, '', 'AAAA', 'AAAAAQ__________']) {
    const request = { path: '/d/b', cursor, limit: 1 };
    await assert.rejects(node.metadata.handlers['check-source'](request, { signal: never }), withCode('invalid'));
  }
});

test('a LIST that fails in the middle of a large subtree is an error', async (t) => {
  const keys = Array.from({ length: 30_000 }, (_, i) => `${String(Math.floor(i / 900)).padStart(3, '0')}/${i}`);
  const node = await NodeFixture.start();
  t.after(() => node.remove());
  const bucket = await node.attachBucket(new MemoryBucket(''), '/d');
  for (const key of keys) bucket.put(key, 1);
  await node.walk('/d');
  const imported = bucket.asked.lists;
  bucket.asked.lists = 0;
  const { files, pages, differences } = await check(node, '/');
  assert.deepEqual([files, differences], [keys.length, []]);
  t.diagnostic(`${bucket.asked.lists} LISTs of 1,000 for ${files} names in ${pages} pages; ${imported} to import them`);
  bucket.failAfterLists = 12;
  await assert.rejects(
    check(node, '/'),
    (error) => error instanceof MillpoolError && error.code === 'source-unavailable',
  );
});
