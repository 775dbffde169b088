import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { MillpoolError } from './errors.ts';
import type { Method, Methods } from './methods.ts';
import { checkRequest, checkSourceLimitMax, listLimitMax, requestPathsMax } from './request-checks.ts';

/** One good request of every method, in normal form. */
const good: { readonly [M in Method]: Methods[M]['request'] } = {
  list: { path: '/a', recursive: true, cursor: null, limit: 10 },
  stat: { paths: ['/a', '/a/%E9'] },
  resolve: { paths: [], atSource: true },
  attach: {
    source: 's3://bucket/prefix',
    path: '/a',
    freshness: { kind: 'ttl', seconds: 60 },
    policy: 'auto',
    compression: 'off',
    readOnly: true,
    s3: { endpoint: 'http://127.0.0.1:7070', region: null, profile: null, anonymous: false, requesterPays: false },
  },
  detach: { path: '/a' },
  attachments: {},
  dataset: { path: '/a', version: 'ab'.repeat(32), include: '**/*.png' },
  'dataset-making': {},
  'dataset-list': { after: 'ab'.repeat(32), limit: 100 },
  'dataset-diff': { before: 'ab'.repeat(32), after: 'cd'.repeat(32), place: { before: 1, after: 2 }, limit: 5_000 },
  'dataset-free': { version: 'ab'.repeat(32) },
  'plan-open': {
    version: '0'.repeat(64),
    seed: Number.MAX_SAFE_INTEGER,
    epoch: 0,
    shuffle: true,
    dropLast: false,
    position: 0,
    globalBatch: 256,
    rank: 3,
    world: 4,
  },
  'plan-progress': { plan: 7 },
  'plan-report': {
    plan: 7,
    waitSeconds: { source: 1, peer: 0, device: 0.5, gather: 0, transform: 0, copy: 0, queue: 2 },
  },
  'plan-close': { plan: 7 },
  prefetch: { version: '0'.repeat(64), samples: new Uint8Array(16) },
  load: { path: '/', verify: true, limits: { bytesPerSecond: 2 ** 20, getsAtOnce: null } },
  job: { job: 1, waitSeconds: 0.5 },
  jobs: {},
  'job-failures': { job: 1, skip: 0, limit: 1_000 },
  'job-cancel': { job: 1 },
  check: { paths: ['/a'] },
  'check-source': { path: '/a', cursor: 'Zm9v', limit: 10_000 },
  free: { path: '/a' },
  why: { path: '/a/b.png' },
  pin: { path: '/a' },
  unpin: { path: '/a' },
  pins: {},
  nodes: {},
  shards: {},
  'shards-move': { shards: [0, 1_023], to: 'gpu-07-3f9a' },
  'rebalance-plan': {},
  'rebalance-run': { atOnce: 4, bytesPerSecond: null },
  'rebalance-status': {},
  'rebalance-pause': {},
  'rebalance-resume': {},
  'rebalance-cancel': {},
  drain: { node: 'gpu-07-3f9a', atOnce: 4, bytesPerSecond: 1e6 },
  undrain: { node: 'gpu-07-3f9a' },
  dirs: { limit: 20 },
  directory: { path: '/a' },
  'directory-set': { path: '/a', rung: 'split', parts: 16 },
  map: {},
  'map-restore': { records: [{ key: 'cluster/drain/a', value: '1' }], isDryRun: true },
  'owner-heat': { limit: 20 },
  'owner-shards': {},
  'owner-lookup': {
    from: 'gpu-07-3f9a',
    questions: [{ shard: 7, term: 3, attachment: 1, part: { index: 3, count: 4 }, paths: ['/a/b'] }],
  },
  'owner-list': {
    ...{ from: 'gpu-07-3f9a', shard: 7, term: 3, attachment: 1 },
    list: { path: '/a', recursive: false, cursor: null, limit: 10 },
  },
  'owner-reads': {
    from: 'gpu-07-3f9a',
    directories: [{ path: '/a', caller: 'gpu-08-1b2c', reads: 7, nameHash: null }],
  },
  'owner-take': { from: 'gpu-07-3f9a', shard: 7, paths: ['/a/b'] },
  'owner-copy': {
    ...{
      from: 'gpu-07-3f9a',
      shard: 7,
      term: 3,
      attachment: 1,
      path: '/a',
      part: null,
      maxAgeSeconds: 60,
      known: null,
    },
    isReferred: false,
    after: { kind: 1, name: Uint8Array.of(97) },
  },
  status: {},
  activity: {},
  shutdown: {},
};
const methods = Object.keys(good) as Method[];

test('a good request passes as it is; surprise keys go no further', () => {
  for (const method of methods) {
    assert.deepEqual(checkRequest(method, good[method]), good[method], method);
    assert.deepEqual(checkRequest(method, { ...good[method], surprise: 1 }), good[method], method);
  }
});

test('paths arrive in normal form', () => {
  assert.deepEqual(checkRequest('stat', { paths: ['millpool://a/', '/%C3%A4'] }), { paths: ['/a', '/ä'] });
});

test('a request without one of its fields, or with any other type there, is invalid and named', () => {
  const strange = [
    undefined,
    1.5,
    'text',
    true,
    [],
    [1],
    {},
    new Uint8Array(2),
    Number.NaN,
    -1,
    '/x',
    '\ud800',
    () => 1,
  ];
  for (const method of methods) {
    for (const field of Object.keys(good[method])) {
      const original: unknown = Reflect.get(good[method], field);
      for (const value of strange) {
        if (sameKind(original, value)) continue;
        assert.throws(
          () => checkRequest(method, { ...good[method], [field]: value }),
          (error: unknown) =>
            error instanceof MillpoolError &&
            error.code === 'invalid' &&
            error.message.startsWith(`${method}.${field}`),
          `${method}.${field} = ${String(value)}`,
        );
      }
    }
    for (const value of [null, undefined, 1, 'x', [], new Uint8Array(1)]) {
      assert.throws(() => checkRequest(method, value), { code: 'invalid' }, method);
    }
  }
});

/** The strange value could stand there: left to the tests of ranges below. */
function sameKind(original: unknown, value: unknown): boolean {
  if (original === null) return typeof value === 'string';
  if (typeof value === 'number') return typeof original === 'number' && value === 1.5;
  if (Array.isArray(original)) {
    return Array.isArray(value) && value.every((one) => typeof one === typeof original[0]);
  }
  return typeof original === typeof value && typeof original !== 'object';
}

test('ranges and lengths, each named', () => {
  const wrong: readonly (readonly [Method, object, string])[] = [
    ['list', { limit: 0 }, 'list.limit'],
    ['list', { limit: listLimitMax + 1 }, 'list.limit'],
    ['list', { path: '/a/../b' }, 'the path "/a/../b"'],
    ['list', { cursor: 'x'.repeat(4097) }, 'list.cursor'],
    ['list', { cursor: '€'.repeat(1366) }, 'list.cursor'],
    ['stat', { paths: ['/a', 'b'] }, 'the path "b"'],
    ['stat', { paths: Array.from({ length: requestPathsMax + 1 }, () => '/a') }, 'stat.paths'],
    ['attach', { path: '/' }, 'nothing can be attached at /'],
    ['attach', { path: '/a/%2Fb' }, 'nothing can be attached at /a/%2Fb'],
    ['attach', { source: '' }, 'attach.source'],
    ['attach', { policy: 'lru' }, 'attach.policy'],
    ['attach', { freshness: { kind: 'ttl' } }, 'attach.freshness.seconds'],
    ['attach', { freshness: { kind: 'ttl', seconds: -1 } }, 'attach.freshness.seconds'],
    ['attach', { s3: { endpoint: 1 } }, 'attach.s3.endpoint'],
    ['dataset', { version: 'AB'.repeat(32) }, 'dataset.version'],
    ['dataset', { include: '' }, 'dataset.include'],
    ['plan-open', { rank: 4 }, 'plan-open.rank'],
    ['plan-open', { globalBatch: 0 }, 'plan-open.globalBatch'],
    ['plan-open', { seed: 2 ** 53 }, 'plan-open.seed'],
    ['prefetch', { samples: new Uint8Array(9) }, 'prefetch.samples'],
    ['prefetch', { samples: [1] }, 'prefetch.samples'],
    ['prefetch', { samples: new Uint8Array(8 * 65_537) }, 'prefetch.samples'],
    ['load', { limits: { bytesPerSecond: 0, getsAtOnce: null } }, 'load.limits.bytesPerSecond'],
    ['load', { limits: { bytesPerSecond: null, getsAtOnce: 1_025 } }, 'load.limits.getsAtOnce'],
    ['job', { waitSeconds: Number.POSITIVE_INFINITY }, 'job.waitSeconds'],
    ['job-failures', { limit: 1_001 }, 'job-failures.limit'],
    ['job-cancel', { job: 2 ** 32 }, 'job-cancel.job'],
    ['check-source', { limit: checkSourceLimitMax + 1 }, 'check-source.limit'],
  ];
  for (const [method, change, field] of wrong) {
    assert.throws(
      () => checkRequest(method, { ...good[method], ...change }),
      (error: unknown) => error instanceof MillpoolError && error.code === 'invalid' && error.message.startsWith(field),
      field,
    );
  }
});

test('anything at all either passes or is invalid', () => {
  fc.assert(
    fc.property(fc.constantFrom(...methods), fc.anything({ maxDepth: 3, withNullPrototype: true }), (method, value) => {
      try {
        checkRequest(method, value);
      } catch (error) {
        assert.ok(error instanceof MillpoolError && error.code === 'invalid', String(error));
      }
    }),
    { numRuns: 2_000 },
  );
});
