import assert from 'node:assert/strict';
import { CompactedError } from '../compacted-error.ts';
import type { Change, CoordStore, Operation, Txn } from '../store.ts';

/** A store for one case of the suite, empty when the case begins. */
export interface StoreUnderTest {
  readonly store: CoordStore;
  /** Lets that much of the store's time pass. */
  passSeconds(seconds: number): Promise<void>;
  /** Lets it forget of its history what it promises nobody to keep. */
  dropHistory(): Promise<void>;
  /** Closes the store, ends what serves it, and opens it again over the same state. */
  reopen(): Promise<CoordStore>;
}

export interface SuiteCase {
  readonly name: string;
  run(under: StoreUnderTest): Promise<void>;
}

const bytes = (text: string): Uint8Array => Buffer.from(text);
const textOf = (value: Uint8Array | undefined): string => Buffer.from(value ?? []).toString();

export const put = (key: string, value: string, lease?: number): Operation =>
  lease === undefined ? { kind: 'put', key, value: bytes(value) } : { kind: 'put', key, value: bytes(value), lease };

/** A transaction without comparisons. */
export const always = (...then: readonly Operation[]): Txn => ({ compare: [], then, otherwise: [] });

async function keysOf(store: CoordStore, prefix: string): Promise<string[]> {
  const { entries, more } = await store.range({ prefix, limit: 1_000, after: null });
  assert.equal(more, false);
  return entries.map(({ key }) => key);
}

/** The next `count` changes, each as `REVISION+KEY=VALUE` and `REVISION-KEY` for its events. */
async function take(changes: AsyncIterable<Change>, count: number): Promise<string[]> {
  const seen: string[] = [];
  let taken = 0;
  for await (const { revision, events } of changes) {
    for (const event of events) {
      seen.push(
        event.kind === 'put'
          ? `${revision}+${event.entry.key}=${textOf(event.entry.value)}`
          : `${revision}-${event.key}`,
      );
    }
    taken += 1;
    if (taken === count) break;
  }
  return seen;
}

const unending = new AbortController().signal;

/** What every driver of `CoordStore` must do. Each case gets an empty store of its own. */
export const coordStoreSuite: readonly SuiteCase[] = [
  {
    name: 'a put is read back with its revisions and version, a delete is gone, and both count',
    async run({ store }) {
      assert.equal(await store.get('/a'), null);
      const first = await store.txn(always(put('/a', 'one')));
      const second = await store.txn(always(put('/a', 'two'), put('/b', '')));
      assert.equal(second.revision, first.revision + 1, 'one revision a transaction');
      const { value, ...entry } = (await store.get('/a')) ?? assert.fail('no /a');
      assert.equal(textOf(value), 'two');
      assert.deepEqual(entry, {
        key: '/a',
        createRevision: first.revision,
        modRevision: second.revision,
        version: 2,
        lease: null,
      });
      assert.equal((await store.get('/b'))?.value.length, 0);
      const deleted = await store.txn(always({ kind: 'delete', key: '/a' }, { kind: 'delete', key: '/none' }));
      assert.deepEqual(deleted.results, [
        { kind: 'delete', count: 1 },
        { kind: 'delete', count: 0 },
      ]);
      assert.equal(await store.get('/a'), null);
      await store.txn(always(put('/a', 'again')));
      assert.equal((await store.get('/a'))?.version, 1);
    },
  },
  {
    name: 'a transaction that changes nothing makes no revision',
    async run({ store }) {
      const { revision } = await store.txn(always(put('/a', 'x')));
      const looked = await store.txn(always({ kind: 'get', key: '/a' }, { kind: 'delete', key: '/none' }));
      assert.equal(looked.revision, revision);
      assert.equal((await store.range({ prefix: '', limit: 1, after: null })).revision, revision);
    },
  },
  {
    name: 'what a caller was given is its own',
    async run({ store }) {
      await store.txn(always(put('/a', 'aaa'), put('/b', 'bbb')));
      const one = await store.get('/a');
      const { entries } = await store.range({ prefix: '/', limit: 10, after: null });
      await store.txn(always(put('/a', 'xxx'), put('/b', 'yyy')));
      await store.get('/b');
      assert.deepEqual(
        [one, ...entries].map((entry) => textOf(entry?.value)),
        ['aaa', 'aaa', 'bbb'],
      );
      entries[0]?.value.fill(0);
      assert.equal(textOf((await store.get('/a'))?.value), 'xxx');
    },
  },
  {
    name: 'ranges go in byte order, by prefix, in pages without gaps or repeats',
    async run({ store }) {
      const keys = ['/a', '/a/', '/a/1', '/a/10', '/a/2', '/a/z', '/a/ä', '/a/€', '/a/\uffee', '/a/😀', '/a0', '/b'];
      await store.txn(always(...[...keys].reverse().map((key) => put(key, key))));
      assert.deepEqual(await keysOf(store, ''), keys);
      assert.deepEqual(await keysOf(store, '/a/'), keys.slice(1, 10));
      assert.deepEqual(await keysOf(store, '/none'), []);
      const paged: string[] = [];
      let after: string | null = null;
      for (let more = true; more;) {
        const page = await store.range({ prefix: '/a/', limit: 2, after });
        assert.ok(page.entries.length <= 2);
        paged.push(...page.entries.map(({ key }) => key));
        assert.ok(paged.length <= keys.length, 'pages repeat');
        after = paged.at(-1) ?? null;
        more = page.more;
      }
      assert.deepEqual(paged, keys.slice(1, 10));
      const beyond = await store.range({ prefix: '/a/', limit: 5, after: '/b' });
      assert.deepEqual([beyond.entries, beyond.more], [[], false]);
      const before = await store.range({ prefix: '/b', limit: 5, after: '/a' });
      assert.deepEqual(
        before.entries.map(({ key }) => key),
        ['/b'],
      );
    },
  },
  {
    name: 'comparisons decide between the branches: existence, revision, value; all must hold',
    async run({ store }) {
      const { revision } = await store.txn(always(put('/a', 'x')));
      const decide = async (...compare: Txn['compare']): Promise<boolean> => {
        const reply = await store.txn({
          compare,
          then: [{ kind: 'get', key: '/a' }],
          otherwise: [
            { kind: 'get', key: '/a' },
            { kind: 'get', key: '/none' },
          ],
        });
        assert.equal(reply.results.length, reply.succeeded ? 1 : 2);
        return reply.succeeded;
      };
      assert.equal(await decide(), true);
      assert.equal(await decide({ kind: 'exists', key: '/a', exists: true }), true);
      assert.equal(await decide({ kind: 'exists', key: '/a', exists: false }), false);
      assert.equal(await decide({ kind: 'exists', key: '/none', exists: false }), true);
      assert.equal(await decide({ kind: 'mod-revision', key: '/a', modRevision: revision }), true);
      assert.equal(await decide({ kind: 'mod-revision', key: '/a', modRevision: revision + 1 }), false);
      assert.equal(await decide({ kind: 'mod-revision', key: '/none', modRevision: 0 }), true);
      assert.equal(await decide({ kind: 'mod-revision', key: '/a', modRevision: 0 }), false);
      assert.equal(await decide({ kind: 'value', key: '/a', value: bytes('x') }), true);
      assert.equal(await decide({ kind: 'value', key: '/a', value: bytes('xy') }), false);
      assert.equal(await decide({ kind: 'value', key: '/none', value: bytes('') }), false);
      assert.equal(
        await decide({ kind: 'exists', key: '/a', exists: true }, { kind: 'exists', key: '/none', exists: true }),
        false,
      );
    },
  },
  {
    name: 'of many that swap the same revision at once, one wins',
    async run({ store }) {
      const { revision } = await store.txn(always(put('/owner', 'nobody')));
      const replies = await Promise.all(
        Array.from({ length: 20 }, (_, index) =>
          store.txn({
            compare: [{ kind: 'mod-revision', key: '/owner', modRevision: revision }],
            then: [put('/owner', `node ${index}`)],
            otherwise: [],
          }),
        ),
      );
      assert.equal(replies.filter(({ succeeded }) => succeeded).length, 1);
      const winner = replies.findIndex(({ succeeded }) => succeeded);
      assert.equal(textOf((await store.get('/owner'))?.value), `node ${winner}`);
    },
  },
  {
    name: 'operations are done in order, and a get sees those before it',
    async run({ store }) {
      await store.txn(always(put('/p/1', 'x'), put('/p/2', 'x')));
      const { results } = await store.txn(
        always(
          { kind: 'get', key: '/p/1' },
          { kind: 'delete-prefix', prefix: '/p/' },
          { kind: 'get', key: '/p/1' },
          put('/q', 'new'),
          { kind: 'get', key: '/q' },
        ),
      );
      assert.equal(
        results
          .map((result) => {
            if (result.kind === 'get') return textOf(result.entry?.value) || 'none';
            return result.kind === 'delete' ? result.count : 'put';
          })
          .join(),
        'x,2,none,put,new',
      );
    },
  },
  {
    name: 'what no driver could do is invalid, and nothing of it is done',
    async run({ store }) {
      const { keyBytesMax, valueBytesMax, txnLengthMax } = store.supports;
      const wrong: readonly Txn[] = [
        always(put('/a', '1'), put('/a', '2')),
        always(put('/a', '1'), { kind: 'delete', key: '/a' }),
        always(put('/a/1', '1'), { kind: 'delete-prefix', prefix: '/a' }),
        always({ kind: 'delete-prefix', prefix: '/a' }, { kind: 'delete-prefix', prefix: '/a/b' }),
        always(put('', '1')),
        always(put('\ud800', '1')),
        always(put('k'.repeat(keyBytesMax + 1), '1')),
        always(put('/a', 'v'.repeat(valueBytesMax + 1))),
        always(...Array.from({ length: txnLengthMax + 1 }, (_, index) => put(`/${index}`, ''))),
      ];
      for (const [index, txn] of wrong.entries()) {
        await assert.rejects(store.txn(txn), { code: 'invalid' }, `transaction ${index}`);
      }
      await assert.rejects(store.range({ prefix: '', limit: 0, after: null }), { code: 'invalid' });
      assert.deepEqual(await keysOf(store, ''), []);
      await store.txn(always(put('k'.repeat(keyBytesMax), 'v'.repeat(valueBytesMax))));
    },
  },
  {
    name: 'a watch brings every change of its prefix from its revision on, whole, in order, then those to come',
    async run({ store }) {
      const { revision } = await store.txn(always(put('/w/1', 'a'), put('/other', 'x')));
      await store.txn(always(put('/other', 'y')));
      await store.txn(always(put('/w/1', 'b'), put('/w/2', 'c')));
      await store.txn(always({ kind: 'delete-prefix', prefix: '/w/' }));
      const watched = take(store.watch({ prefix: '/w/', fromRevision: revision, signal: unending }), 5);
      const late = take(store.watch({ prefix: '/w/', fromRevision: revision + 3, signal: unending }), 2);
      await store.txn(always(put('/w/3', 'd')));
      await store.txn(always(put('/w/3', 'e')));
      const all = [
        `${revision}+/w/1=a`,
        `${revision + 2}+/w/1=b`,
        `${revision + 2}+/w/2=c`,
        `${revision + 3}-/w/1`,
        `${revision + 3}-/w/2`,
        `${revision + 4}+/w/3=d`,
        `${revision + 5}+/w/3=e`,
      ];
      assert.deepEqual(await watched, all);
      assert.deepEqual(await late, all.slice(3, 6));
    },
  },
  {
    name: 'a range and a watch from its revision + 1 miss nothing and repeat nothing',
    async run({ store }) {
      const writes = Array.from({ length: 40 }, (_, index) => store.txn(always(put(`/r/${index % 7}`, String(index)))));
      const { entries, revision } = await store.range({ prefix: '/r/', limit: 100, after: null });
      const state = new Map(entries.map(({ key, value }) => [key, textOf(value)]));
      const last = Math.max(...(await Promise.all(writes)).map((reply) => reply.revision));
      const changes = store.watch({ prefix: '/r/', fromRevision: revision + 1, signal: unending });
      if (last > revision) {
        for (const event of await take(changes, last - revision)) {
          const [, key = '', value = ''] = /\+(.*)=(.*)/.exec(event) ?? [];
          state.set(key, value);
        }
      }
      const now = (await store.range({ prefix: '/r/', limit: 100, after: null })).entries;
      assert.deepEqual(
        [...state].sort(),
        now.map(({ key, value }) => [key, textOf(value)]),
      );
    },
  },
  {
    name: 'a watch ends with its signal and with its store',
    async run({ store }) {
      const stop = new AbortController();
      const stopped = assert.rejects(take(store.watch({ prefix: '', fromRevision: 1, signal: stop.signal }), 1), {
        code: 'cancelled',
      });
      const closed = assert.rejects(take(store.watch({ prefix: '', fromRevision: 1, signal: unending }), 1), {
        code: 'closed',
      });
      stop.abort();
      await stopped;
      await store.close();
      await closed;
      await assert.rejects(store.get('/a'), { code: 'closed' });
      await assert.rejects(store.txn(always(put('/a', ''))), { code: 'closed' });
    },
  },
  {
    name: 'a watch from before what is kept says so, and from where one can begin',
    async run({ store, dropHistory }) {
      const { historyRevisions } = store.supports;
      for (let written = 0; written < historyRevisions + 10; written += 1) {
        await store.txn(always(put('/a', String(written))));
      }
      await dropHistory();
      const watch = (fromRevision: number): Promise<string[]> =>
        take(store.watch({ prefix: '', fromRevision, signal: unending }), 1);
      const error = await watch(1).then(
        () => assert.fail('no error'),
        (thrown: unknown) => thrown,
      );
      assert.ok(error instanceof CompactedError);
      assert.equal(error.code, 'not-found');
      assert.equal((await watch(error.oldestRevision)).length, 1);
      await assert.rejects(watch(error.oldestRevision - 1), CompactedError);
    },
  },
  {
    name: 'a lease that is not kept ends with its keys, in one change; one that is kept stays',
    async run({ store, passSeconds }) {
      const lost = await store.grantLease(10);
      const kept = await store.grantLease(10);
      const { revision } = await store.txn(
        always(put('/l/1', '', lost.id), put('/l/2', '', lost.id), put('/k', '', kept.id)),
      );
      assert.equal((await store.get('/l/1'))?.lease, lost.id);
      await passSeconds(6);
      await store.keepLease(kept.id);
      await passSeconds(6);
      const seen = await take(store.watch({ prefix: '', fromRevision: revision + 1, signal: unending }), 1);
      assert.deepEqual(seen, [`${revision + 1}-/l/1`, `${revision + 1}-/l/2`]);
      assert.deepEqual(await keysOf(store, ''), ['/k']);
      await assert.rejects(store.keepLease(lost.id), { code: 'not-found' });
      assert.deepEqual(await store.keepLease(kept.id), kept);
    },
  },
  {
    name: 'a lease ends when revoked; a put without it takes its key out; one that is gone takes no keys',
    async run({ store }) {
      const lease = await store.grantLease(60);
      await store.txn(always(put('/1', '', lease.id), put('/2', '', lease.id), put('/3', '', lease.id)));
      await store.txn(always(put('/2', 'mine now'), { kind: 'delete', key: '/3' }));
      await store.txn(always(put('/3', 'made again')));
      await store.revokeLease(lease.id);
      assert.deepEqual(await keysOf(store, ''), ['/2', '/3']);
      await assert.rejects(store.revokeLease(lease.id), { code: 'not-found' });
      await assert.rejects(store.txn(always(put('/4', ''), put('/5', '', lease.id))), { code: 'not-found' });
      assert.deepEqual(await keysOf(store, ''), ['/2', '/3'], 'nothing of it was done');
      assert.notEqual((await store.grantLease(60)).id, lease.id);
    },
  },
  {
    name: 'everything acknowledged is there after a close: keys, revisions, history, leases with their whole time',
    async run({ store, passSeconds, reopen }) {
      const lease = await store.grantLease(10);
      const { revision } = await store.txn(always(put('/a', 'x'), put('/b', 'y', lease.id)));
      await passSeconds(6);
      const again = await reopen();
      assert.deepEqual(await keysOf(again, ''), ['/a', '/b']);
      assert.equal((await again.get('/a'))?.modRevision, revision);
      await passSeconds(6);
      assert.deepEqual(await keysOf(again, ''), ['/a', '/b'], 'the lease began again');
      const changes = again.watch({ prefix: '/a', fromRevision: revision, signal: unending });
      assert.deepEqual(await take(changes, 1), [`${revision}+/a=x`]);
      await passSeconds(5);
      await take(again.watch({ prefix: '/b', fromRevision: revision + 1, signal: unending }), 1);
      assert.deepEqual(await keysOf(again, ''), ['/a']);
      const next = await again.txn(always(put('/a', 'z')));
      assert.equal(next.revision, revision + 2);
      assert.notEqual((await again.grantLease(10)).id, lease.id);
    },
  },
];
