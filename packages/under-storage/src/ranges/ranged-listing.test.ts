import assert from 'node:assert/strict';
import { Buffer } from 'node:buffer';
import { createHash, randomInt } from 'node:crypto';
import { setImmediate as turn } from 'node:timers/promises';
import { test } from 'node:test';

import { MillpoolError } from '@millpool/protocol';

import { SourceFiles } from '../source-files.ts';
import type { ListPage, ListRequest } from '../under-storage.ts';
import { RangedListing } from './ranged-listing.ts';

type Fault = 'none' | 'skips-after-no-key' | 'ends-after-no-key';

/** Sorted keys, listed as the contract says or not; what ends in `/` is a directory. LISTs under way end together. */
class SortedKeys {
  readonly keys: string[];
  readonly pageMax: number;
  fault: Fault = 'none';
  failAt = Number.POSITIVE_INFINITY;
  lists = 0;
  /** Times that all LISTs under way ended. */
  rounds = 0;
  underWay = 0;
  underWayMax = 0;
  #round: Promise<unknown> | null = null;

  constructor(keys: readonly string[], pageMax = 1_000) {
    this.keys = [...new Set(keys)].sort((left, right) => Buffer.compare(Buffer.from(left), Buffer.from(right)));
    this.pageMax = pageMax;
  }

  async list({ after, limit, signal }: ListRequest): Promise<ListPage> {
    this.lists += 1;
    const isLast = this.lists >= this.failAt;
    this.underWay += 1;
    this.underWayMax = Math.max(this.underWayMax, this.underWay);
    this.#round ??= turn()
      .then(turn)
      .then(turn)
      .then(() => {
        this.rounds += 1;
        this.#round = null;
      });
    await this.#round;
    this.underWay -= 1;
    if (signal.aborted) throw error('cancelled');
    if (isLast) throw error('source-unavailable');
    return this.#page(after, Math.min(limit, this.pageMax));
  }

  #page(after: Uint8Array | null, limit: number): ListPage {
    const from = after === null ? 0 : this.keys.findIndex((key) => Buffer.compare(Buffer.from(key), after) > 0);
    const isKey = after === null || this.keys.includes(after.toString());
    const isWrong = this.fault !== 'none' && !isKey;
    const first = from === -1 || (isWrong && this.fault === 'ends-after-no-key') ? this.keys.length : from;
    const start = isWrong ? first + 1 : first;
    const part = this.keys.slice(start, start + limit);
    const files = part.filter((key) => !key.endsWith('/'));
    const next = start + part.length < this.keys.length ? Buffer.from(part.at(-1) ?? '') : null;
    return {
      files: SourceFiles.of(files.map((key) => ({ key: Buffer.from(key), size: 1, mtimeMs: 1, tag: '"e"' }))),
      directories: part.filter((key) => key.endsWith('/')).map((key) => Buffer.from(key)),
      skipped: [],
      next,
    };
  }
}

function error(code: 'cancelled' | 'source-unavailable'): MillpoolError {
  return new MillpoolError({ code, message: code, remedy: '' });
}

function listing(source: SortedKeys, atOnce: number, signal = new AbortController().signal): RangedListing {
  return new RangedListing(source, { prefix: new Uint8Array(), recursive: true, after: null, atOnce, signal });
}

/** What it gives, in its order, page by page merged. */
async function listed(ranged: RangedListing, onPage: () => void = () => undefined): Promise<string[]> {
  const keys: string[] = [];
  for await (const { files, directories } of ranged.pages()) {
    const page = [...files.keys(), ...directories].sort((left, right) => Buffer.compare(left, right));
    keys.push(...page.map((key) => Buffer.from(key).toString()));
    onPage();
  }
  return keys;
}

interface Random {
  readonly seed: number;
  below(limit: number): number;
}

function random(seed: number): Random {
  let state = seed;
  return {
    seed,
    below: (limit) => {
      state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fffffff;
      return Math.floor((state / 2 ** 31) * limit);
    },
  };
}

const hash = (number: number): string => createHash('md5').update(String(number)).digest('hex');
const words = ['cat', 'dog', 'é', '日本', 'zebra', 'x', '\u{1f600}', 'a/', 'b/c', '10', '9'];

/** Ways in which people name their objects, and worse ones. */
const namings: Readonly<Record<string, (number: number, from: Random) => string>> = {
  counted: (number) => `data/object-${String(number).padStart(7, '0')}.bin`,
  numbered: (number) => `file-${number}.jpg`,
  hashed: hash,
  'in directories': (number) => `part-${String(Math.floor(number / 10)).padStart(4, '0')}/${number}/`,
  dated: (number) => `${new Date(1.7e12 + number * 37e3).toISOString()}-cam${number % 7}`,
  'of two kinds': (number) => (number % 2 === 0 ? `a/${hash(number)}` : `zzz/${String(number).padStart(9, '0')}`),
  'of words': (number, { below }) => `${words[below(11)]}${words[below(11)]}${words[below(11)]}${number}`,
};

const seed = randomInt(2 ** 31);

for (const [naming, nameOf] of Object.entries(namings)) {
  test(`names that are ${naming} are listed each once, in order, however many ranges there are`, async (context) => {
    context.diagnostic(`seed ${seed}`);
    const from = random(seed);
    for (let round = 0; round < 12; round += 1) {
      const source = new SortedKeys(
        Array.from({ length: from.below(1_500) }, (_, number) => nameOf(number, from)),
        1 + from.below(20),
      );
      const atOnce = 1 + from.below(20);
      assert.deepEqual(await listed(listing(source, atOnce)), source.keys, `seed ${seed} round ${round}`);
      assert.ok(source.underWayMax <= atOnce, `${source.underWayMax} of ${atOnce} at once`);
      assert.equal(source.underWay, 0, 'none is left under way');
    }
  });
}

test('ranges are listed at the same time, and cost few requests more', async () => {
  for (const nameOf of [namings['counted'], namings['hashed']]) {
    const source = new SortedKeys(
      Array.from({ length: 12_000 }, (_, i) => nameOf?.(i, random(1)) ?? ''),
      100,
    );
    await listed(listing(source, 16));
    assert.ok(source.rounds <= 60, `${source.rounds} rounds for 120 pages`);
    assert.ok(source.lists <= 180, `${source.lists} LISTs for 120 pages`);
  }
});

test('what is listed ahead of a slow reader is bounded', async () => {
  const source = new SortedKeys(
    Array.from({ length: 20_000 }, (_, i) => hash(i)),
    50,
  );
  let given = 0;
  let heldMax = 0;
  for await (const page of listing(source, 4).pages()) {
    given += page.files.length > 0 ? 1 : 0;
    for (let wait = 0; wait < 20; wait += 1) await turn();
    heldMax = Math.max(heldMax, source.lists - given);
    if (given > 200) break;
  }
  // Pages that ranges overlap by are among them.
  assert.ok(heldMax < 4 * 6 + given / 2, `${heldMax} pages beside ${given} that were given`);
  assert.equal(source.underWay, 0);
});

/**
 * With the second one a source once ended an empty range, and the one behind it, where keys were known to be; with the
 * third it skipped the same key after an empty range and at the beginning of the next one.
 */
const seedsOfFaults = [seed, 426_651_629, 1_355_894_792];

for (const fault of ['skips-after-no-key', 'ends-after-no-key'] as const) {
  for (const seedOfFault of seedsOfFaults) {
    test(`a source that ${fault.replaceAll('-', ' ')} is listed whole, without ranges: ${seedOfFault}`, async () => {
      const from = random(seedOfFault);
      let disagreed = 0;
      for (let round = 0; round < 10; round += 1) {
        const source = new SortedKeys(
          Array.from({ length: 3_000 }, (_, i) => hash(i + round)),
          20 + from.below(50),
        );
        source.fault = fault;
        const ranged = listing(source, 8);
        assert.deepEqual(await listed(ranged), source.keys, `seed ${seedOfFault} round ${round}`);
        disagreed += Number(ranged.isSequential);
      }
      assert.equal(disagreed, 10, 'the fault was in force');
    });
  }
}

test('files that come and go meanwhile take no other one along', async (context) => {
  context.diagnostic(`seed ${seed}`);
  const from = random(seed);
  for (let round = 0; round < 10; round += 1) {
    const stays = Array.from({ length: 2_000 }, (_, i) => hash(i));
    const source = new SortedKeys(stays, 25);
    const change = (): void => {
      const key = hash(from.below(2_000) + 10_000);
      const at = source.keys.findIndex((known) => known >= key);
      if (source.keys[at] === key) source.keys.splice(at, 1);
      else source.keys.splice(at === -1 ? source.keys.length : at, 0, key);
    };
    const keys = await listed(listing(source, 8), change);
    assert.equal(new Set(keys).size, keys.length, `seed ${seed}`);
    assert.deepEqual(keys, [...keys].sort());
    const found = new Set(keys);
    assert.deepEqual(
      stays.filter((key) => !found.has(key)),
      [],
    );
  }
});

test('one LIST that fails, of any range, fails the listing, and no other is left under way', async () => {
  for (let failAt = 1; failAt < 60; failAt += 4) {
    const source = new SortedKeys(
      Array.from({ length: 3_000 }, (_, i) => hash(i)),
      50,
    );
    source.failAt = failAt;
    await assert.rejects(listed(listing(source, 8)), { message: 'source-unavailable' }, `LIST ${failAt}`);
    assert.ok(source.lists >= failAt, 'the fault was in force');
    assert.equal(source.underWay, 0);
  }
});

test('an abort ends it in the middle of its ranges', async () => {
  const source = new SortedKeys(
    Array.from({ length: 3_000 }, (_, i) => hash(i)),
    50,
  );
  const stop = new AbortController();
  let pages = 0;
  const abort = (): void => {
    pages += 1;
    if (pages === 20) stop.abort();
  };
  await assert.rejects(listed(listing(source, 8, stop.signal), abort), { message: 'cancelled' });
  assert.equal(source.underWay, 0);
});
