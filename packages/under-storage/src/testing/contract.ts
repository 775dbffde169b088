import assert from 'node:assert/strict';
import { Buffer } from 'node:buffer';
import { createHash, randomInt } from 'node:crypto';
import * as suite from 'node:test';

import { MillpoolError } from '@millpool/protocol';

import type { SourceFile } from '../source-files.ts';
import type { Capabilities, ListPage, UnderStorage } from '../under-storage.ts';
import { holdable, keyOf, modelListing, textOf } from './model.ts';

/** A driver over something real that is empty, and a way to put files there behind its back. */
export interface UnderStorageFixture {
  readonly storage: UnderStorage;
  /** What is behind the driver can hold no more than this, whatever the driver supports. */
  readonly holds: Capabilities;
  /** Other keys that it cannot hold, for reasons of its own; null where there are none. */
  readonly refuses: RegExp | null;
  /** `key` begins with the storage's root. Replaces a file that is there. */
  put(key: Uint8Array, bytes: Uint8Array): Promise<void>;
  stop(): Promise<void>;
}

const never = new AbortController().signal;

/** The tests that every driver passes; `start` is called once. */
export function underStorageContract(name: string, start: () => Promise<UnderStorageFixture>): void {
  suite.describe(`under-storage contract: ${name}`, () => {
    let fixture: UnderStorageFixture;
    suite.before(async () => {
      fixture = await start();
    });
    suite.after(async () => fixture.stop());

    suite.test('what is empty lists as empty', async () => {
      const root = textOf(fixture.storage.root);
      const { files, directories } = await listAll(fixture.storage, root, { recursive: true, limit: 10 });
      assert.deepEqual([files, directories], [[], []]);
    });
    suite.test('listings hold every file once, in byte order, for every page size', () => listingTest(fixture));
    suite.test('a listing goes on after any key, there or not', () => continuationTest(fixture));
    suite.test('random trees list as the model says', (context) => randomTest(fixture, context));
    suite.test('a prefix without files is an empty listing', () => missingPrefixTest(fixture));
    suite.test('stat gives what the listing gives, and null for what is no file', () => statTest(fixture));
    suite.test('replaced files get another tag, also with equal sizes', () => tagTest(fixture));
    suite.test('an aborted signal is cancelled', () => abortTest(fixture));
    suite.test('a request that cannot be answered is invalid', () => invalidTest(fixture));
    suite.test('identity, source and root are canonical', () => identityTest(fixture));
    suite.test('calls after close are closed', () => closeTest(fixture));
  });
}

const plainNames = [
  'top',
  'a-b',
  'a.b',
  'a/b',
  'a/b-c',
  'a/c/d',
  'a/c/e',
  'a/c-d',
  'a0',
  'b/x',
  'empty',
  'zz/deep/er/and/deeper/file',
  'sp ace/two  spaces',
  'plus+and&amp;<tag>\'"',
  'percent%/%2F%20%41',
  'café/日本語',
  '\u{1f600}/\u{fffd}',
  '\u{ff5e}x',
  ' leading and trailing ',
  '~!@#$^*()=[]{}|\\:;,?',
];
/** What XML cannot hold, or changes. */
const controlNames = ['line\nbreak/tab\there', 'carriage\rreturn', 'bell\u{7}', '\u{ffff}y'];
const oddNames = ['odd//b', 'odd//c/d', 'odd///e', '/rooted', '//twice/rooted', 'dots/./x', 'dots/../y', 'dots/.../z'];
const besideNames = ['both', 'both/below', 'both/be/low', 'both-not'];
const byteNames = [Buffer.from('ff2f41', 'hex'), Buffer.from('6261c328', 'hex'), Buffer.from('80', 'hex')];

/** Every key the fixture can hold, put there with a content that says its length. */
async function fill({ storage, holds, refuses, put }: UnderStorageFixture): Promise<Buffer[]> {
  const names = [...plainNames, ...controlNames, ...oddNames, ...besideNames].filter((name) => !refuses?.test(name));
  const texts = names.map((name) => Buffer.from(name));
  const keys = holdable([...texts, ...byteNames], intersection(storage.supports, holds));
  const rooted = keys.map((key) => Buffer.concat([storage.root, key]));
  for (const key of rooted) await put(key, contentOf(key));
  return rooted;
}

function contentOf(key: Uint8Array): Buffer {
  return textOf(key).endsWith('empty') ? Buffer.alloc(0) : Buffer.alloc(key.length, 'x');
}

async function listingTest(fixture: UnderStorageFixture): Promise<void> {
  const keys = await fill(fixture);
  const { storage } = fixture;
  const root = textOf(storage.root);
  const prefixes = new Set([root, ...keys.flatMap((key) => directoriesOf(keys, textOf(key), root))]);
  for (const prefix of prefixes) {
    for (const recursive of [true, false]) {
      for (const limit of prefix === root ? [1, 2, 3, 7, 1000] : [2, 1000]) {
        const listed = await listAll(storage, prefix, { recursive, limit });
        const got = { files: listed.files.map(({ key }) => textOf(key)), directories: listed.directories };
        assert.deepEqual(got, modelListing(keys, prefix, recursive), `prefix ${prefix} limit ${limit} ${recursive}`);
        for (const file of listed.files) assert.equal(file.size, contentOf(file.key).length, textOf(file.key));
      }
    }
  }
}

/** The prefixes that listings of the model itself lead to on the way to `key`. */
function directoriesOf(keys: readonly Buffer[], key: string, root: string): string[] {
  const found: string[] = [];
  for (let prefix: string | undefined = root; prefix !== undefined;) {
    found.push(prefix);
    prefix = modelListing(keys, prefix, false).directories.find((directory) => key.startsWith(directory));
  }
  return found;
}

async function continuationTest(fixture: UnderStorageFixture): Promise<void> {
  const keys = await fill(fixture);
  const root = textOf(fixture.storage.root);
  for (const recursive of [true, false]) {
    const whole = modelListing(keys, root, recursive);
    const stops = ['', 'a', 'a/', 'a/b', 'a/c', 'a/c/d', 'a/c/dd', 'a/z', 'odd/', 'odd//', 'odd//b', 'zzz'];
    for (const stop of [...keys.map(textOf), ...stops.map((text) => root + text)]) {
      const listed = await listAll(fixture.storage, root, { recursive, limit: 5, after: stop });
      const got = { files: listed.files.map(({ key }) => textOf(key)), directories: listed.directories };
      const beyond = (key: string): boolean => key > stop;
      const want = { files: whole.files.filter(beyond), directories: whole.directories.filter(beyond) };
      assert.deepEqual(got, want, `after ${JSON.stringify(stop)} ${recursive}`);
    }
  }
}

/** Names of few letters, so that keys are often prefixes of each other, and stand on both sides of `/` in the order. */
async function randomTest(fixture: UnderStorageFixture, context: suite.TestContext): Promise<void> {
  const { storage, holds } = fixture;
  const seed = randomInt(2 ** 32);
  context.diagnostic(`seed ${seed}`);
  const letters = createHash('sha512').update(String(seed)).digest();
  const texts = Array.from({ length: 64 }, (_, i) => {
    const bytes = createHash('sha256').update(letters).update(String(i)).digest();
    const length = 1 + ((bytes[31] ?? 0) % 8);
    return [...bytes.subarray(0, length)].map((byte) => 'ab//-0\u{e9}~'[byte % 8]).join('');
  });
  const names = [...new Set(texts)].filter((text) => !text.endsWith('/'));
  const keys = names.map((name) => below(storage, `random/${name}`));
  const held = holdable(keys, intersection(storage.supports, holds));
  for (const key of held) await fixture.put(key, contentOf(key));
  const root = textOf(below(storage, 'random/'));
  for (const prefix of new Set(held.flatMap((key) => directoriesOf(held, textOf(key), root)))) {
    for (const recursive of [true, false]) {
      const listed = await listAll(storage, prefix, { recursive, limit: 4 });
      const got = { files: listed.files.map(({ key }) => textOf(key)), directories: listed.directories };
      assert.deepEqual(got, modelListing(held, prefix, recursive), `seed ${seed} prefix ${prefix} ${recursive}`);
    }
  }
}

async function missingPrefixTest({ storage, put }: UnderStorageFixture): Promise<void> {
  await put(below(storage, 'present/file'), Buffer.from('x'));
  for (const prefix of ['absent/', 'pres/', 'present/file/', 'present/fil/', 'absent/below/']) {
    for (const recursive of [true, false]) {
      const listed = await listAll(storage, textOf(below(storage, prefix)), { recursive, limit: 10 });
      assert.deepEqual([listed.files, listed.directories], [[], []], prefix);
    }
  }
}

async function statTest(fixture: UnderStorageFixture): Promise<void> {
  const keys = await fill(fixture);
  const { storage } = fixture;
  const { files } = await listAll(storage, textOf(storage.root), { recursive: true, limit: 1000 });
  for (const file of files) {
    const found = await storage.stat(file.key, never);
    assert.ok(found !== null, `stat of ${textOf(file.key)}`);
    assert.deepEqual([textOf(found.key), found.size, found.tag], [textOf(file.key), file.size, file.tag]);
    assert.equal(Math.floor(found.mtimeMs / 1000), Math.floor(file.mtimeMs / 1000));
  }
  const absent = ['absent', 'a', 'a/', 'a/b/', 'a/b/c', 'zz/deep', 'zz/deep/', 'zz/deep/er/absent', '', 'to', 'topp'];
  const texts = new Set(keys.map(textOf));
  for (const key of absent.map((text) => below(storage, text))) {
    if (texts.has(textOf(key))) continue;
    assert.equal(await storage.stat(key, never), null, `stat of ${textOf(key)}`);
  }
}

async function tagTest({ storage, put }: UnderStorageFixture): Promise<void> {
  const key = below(storage, 'replaced');
  const tags = new Set<string>();
  for (const content of ['one', 'two', 'three']) {
    await put(key, Buffer.from(content));
    const file = await storage.stat(key, never);
    assert.ok(file !== null);
    assert.match(file.tag, /^("[\x20-\x7e]*"|m:\d+|f:\d+:\d+:\d+:\d+|v:[\x20-\x7e]+)$/);
    tags.add(file.tag);
  }
  assert.equal(tags.size, 3);
}

async function abortTest({ storage }: UnderStorageFixture): Promise<void> {
  const signal = AbortSignal.abort();
  const prefix = storage.root;
  await assert.rejects(storage.list({ prefix, recursive: true, after: null, limit: 1, signal }), hasCode('cancelled'));
  await assert.rejects(storage.stat(below(storage, 'x'), signal), hasCode('cancelled'));
}

async function invalidTest({ storage }: UnderStorageFixture): Promise<void> {
  const rest = { recursive: true, after: null, signal: never };
  const prefix = below(storage, 'no-slash');
  await assert.rejects(storage.list({ ...rest, prefix, limit: 1 }), hasCode('invalid'));
  for (const limit of [0, -1, 1.5, Number.NaN]) {
    await assert.rejects(storage.list({ ...rest, prefix: storage.root, limit }), hasCode('invalid'));
  }
}

async function identityTest({ storage }: UnderStorageFixture): Promise<void> {
  const parts = storage.identity().split('\0');
  assert.equal(parts.length, 3);
  assert.equal(parts[0], storage.scheme);
  assert.doesNotMatch(storage.source, /.\/$/);
  const last = storage.root.at(-1);
  assert.ok(last === undefined || last === 0x2f);
}

async function closeTest({ storage }: UnderStorageFixture): Promise<void> {
  await storage.close();
  const request = { prefix: storage.root, recursive: true, after: null, limit: 1, signal: never };
  await assert.rejects(storage.list(request), hasCode('closed'));
  await assert.rejects(storage.stat(below(storage, 'x'), never), hasCode('closed'));
}

interface Listed {
  readonly files: readonly SourceFile[];
  readonly directories: readonly string[];
}

/** All pages; checks what the contract promises of each. */
async function listAll(
  storage: UnderStorage,
  prefix: string,
  { recursive, limit, after }: { readonly recursive: boolean; readonly limit: number; readonly after?: string },
): Promise<Listed> {
  const files: SourceFile[] = [];
  const directories: string[] = [];
  let last = after === undefined ? null : keyOf(after);
  for (let page: ListPage | null = null; page?.next !== null;) {
    page = await storage.list({ prefix: keyOf(prefix), recursive, after: last, limit, signal: never });
    const names = [...Array.from(page.files.keys(), textOf), ...page.directories.map(textOf)].sort();
    assert.ok(names.length <= limit, `${names.length} entries in a page of ${limit}`);
    assert.ok(
      names.every((name, at) => name > (names[at - 1] ?? (last === null ? '' : textOf(last)))),
      'ascending',
    );
    assertAscending(page);
    if (page.next !== null) {
      assert.ok(last === null || textOf(page.next) > textOf(last), 'a page that does not get on');
      assert.ok((names.at(-1) ?? '') <= textOf(page.next), 'a page beyond its own end');
      last = Buffer.from(page.next);
    }
    files.push(...page.files);
    directories.push(...page.directories.map(textOf));
  }
  return { files, directories };
}

function assertAscending({ files, directories }: ListPage): void {
  for (const names of [Array.from(files.keys(), textOf), directories.map(textOf)]) {
    assert.deepEqual(names, [...names].sort());
  }
}

function below(storage: UnderStorage, text: string): Buffer {
  return Buffer.concat([storage.root, Buffer.from(text)]);
}

function hasCode(code: string): (error: unknown) => boolean {
  return (error) => error instanceof MillpoolError && error.code === code;
}

function intersection(one: Capabilities, other: Capabilities): Capabilities {
  return {
    anyBytes: one.anyBytes && other.anyBytes,
    oddKeys: one.oddKeys && other.oddKeys,
    fileBesideDirectory: one.fileBesideDirectory && other.fileBesideDirectory,
    emptyDirectories: one.emptyDirectories && other.emptyDirectories,
    controlCharacters: one.controlCharacters && other.controlCharacters,
  };
}
