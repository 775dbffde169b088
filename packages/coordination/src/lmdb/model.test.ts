import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { Change, Compare, CoordStore, Operation, Txn } from '../store.ts';
import { lmdbUnderTest } from '../testing/lmdb-under-test.ts';

interface Held {
  value: string;
  createRevision: number;
  modRevision: number;
  version: number;
}

/** A map and a counter: the whole meaning of a store without leases. */
class Model {
  revision = 0;
  readonly held = new Map<string, Held>();
  readonly changes: { revision: number; events: string[] }[] = [];

  txn({ compare, then, otherwise }: Txn): boolean {
    const succeeded = compare.every((comparison) => this.#holds(comparison));
    const events = (succeeded ? then : otherwise).flatMap((operation) => this.#apply(operation));
    if (events.length > 0) this.changes.push({ revision: ++this.revision, events });
    return succeeded;
  }

  #holds(comparison: Compare): boolean {
    const held = this.held.get(comparison.key);
    if (comparison.kind === 'exists') return (held !== undefined) === comparison.exists;
    if (comparison.kind === 'mod-revision') return (held?.modRevision ?? 0) === comparison.modRevision;
    return held?.value === Buffer.from(comparison.value).toString();
  }

  #apply(operation: Operation): string[] {
    if (operation.kind === 'get') return [];
    if (operation.kind === 'put') {
      const before = this.held.get(operation.key);
      const value = Buffer.from(operation.value).toString();
      const modRevision = this.revision + 1;
      const createRevision = before?.createRevision ?? modRevision;
      this.held.set(operation.key, { value, createRevision, modRevision, version: (before?.version ?? 0) + 1 });
      return [`+${operation.key}=${value}`];
    }
    const doomed = [...this.held.keys()].filter((key) =>
      operation.kind === 'delete' ? key === operation.key : key.startsWith(operation.prefix),
    );
    for (const key of doomed) this.held.delete(key);
    return doomed.sort(byteOrder).map((key) => `-${key}`);
  }
}

const byteOrder = (left: string, right: string): number => Buffer.compare(Buffer.from(left), Buffer.from(right));

const keys = fc.constantFrom('/a', '/a/b', '/a/c', '/ä', '/😀', '/\uffee', '/b');
const values = fc.constantFrom('', 'x', 'y').map((text) => Buffer.from(text));
const comparisons: fc.Arbitrary<Compare> = fc.oneof(
  fc.record({ kind: fc.constant('exists' as const), key: keys, exists: fc.boolean() }),
  fc.record({ kind: fc.constant('mod-revision' as const), key: keys, modRevision: fc.integer({ min: 0, max: 6 }) }),
  fc.record({ kind: fc.constant('value' as const), key: keys, value: values }),
);
const operations: fc.Arbitrary<Operation> = fc.oneof(
  fc.record({ kind: fc.constant('put' as const), key: keys, value: values }),
  fc.record({ kind: fc.constant('delete' as const), key: keys }),
  fc.record({ kind: fc.constant('delete-prefix' as const), prefix: fc.constantFrom('/a/', '/') }),
);
const branches = fc.array(operations, { maxLength: 3 });
const txns: fc.Arbitrary<Txn> = fc.record({
  compare: fc.array(comparisons, { maxLength: 2 }),
  then: branches,
  otherwise: branches,
});

/** All there is, from the store's own mouth. */
async function stateOf(store: CoordStore): Promise<unknown> {
  const { entries, revision } = await store.range({ prefix: '', limit: 1_000, after: null });
  const rows = entries.map(({ key, value, lease: _, ...rest }) => [
    key,
    { ...rest, value: Buffer.from(value).toString() },
  ]);
  return { revision, rows };
}

async function historyOf(store: CoordStore, changes: number): Promise<{ revision: number; events: string[] }[]> {
  const seen: { revision: number; events: string[] }[] = [];
  if (changes === 0) return seen;
  for await (const change of store.watch({ prefix: '', fromRevision: 1, signal: new AbortController().signal })) {
    seen.push({ revision: change.revision, events: wordsOf(change) });
    if (seen.length === changes) break;
  }
  return seen;
}

function wordsOf({ events }: Change): string[] {
  return events.map((event) =>
    event.kind === 'put' ? `+${event.entry.key}=${Buffer.from(event.entry.value).toString()}` : `-${event.key}`,
  );
}

test(
  'random transactions do to the store what they do to a map, also over a reopening',
  { timeout: 120_000 },
  async (t) => {
    await fc.assert(
      fc.asyncProperty(fc.array(txns, { minLength: 1, maxLength: 20 }), async (list) => {
        const under = await lmdbUnderTest(t);
        const model = new Model();
        let { store } = under;
        for (const [index, txn] of list.entries()) {
          if (index === 10) store = await under.reopen();
          const reply = await store.txn(txn).catch((error: { code?: string }) => {
            assert.equal(error.code, 'invalid');
            return null;
          });
          if (reply === null) continue;
          assert.equal(reply.succeeded, model.txn(txn));
          assert.equal(reply.revision, model.revision);
        }
        const rows = [...model.held].sort(([left], [right]) => byteOrder(left, right));
        assert.deepEqual(await stateOf(store), { revision: model.revision, rows });
        assert.deepEqual(await historyOf(store, model.changes.length), model.changes);
        await store.close();
      }),
      { numRuns: 60 },
    );
  },
);
