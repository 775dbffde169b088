import assert from 'node:assert/strict';
import { test } from 'node:test';

import { deal } from './deal.ts';
import type { Deal, Room } from './deal.ts';
import type { Tenant } from './tenants.ts';

const hourMs = 3_600_000;
const full: Room = { capacityBytes: 1000, freeBytes: 0, spareBytes: 20, claimedBytes: null };

function tenant(identity: string, facts: Partial<Tenant>): Tenant {
  const rest = { policy: 'auto', hasBytes: 0, wants: false, isFilling: false, bytesPerSecond: 1, idleMs: 0 } as const;
  return { identity, needBytes: facts.hasBytes ?? 0, ...rest, ...facts };
}

function givers({ givers: found }: Deal): (string | number)[][] {
  return found.map(({ identity, bytesMax }) => [identity, bytesMax]);
}

test('as long as all fit nobody is limited, and nothing is given up', () => {
  const found = deal(
    { ...full, freeBytes: 300 },
    [tenant('a', { hasBytes: 700 }), tenant('b', { wants: false })],
    hourMs,
  );
  assert.equal(found.shares, null);
  assert.deepEqual(
    [...found.quotas],
    [
      ['a', null],
      ['b', null],
    ],
  );
  assert.equal(found.wantedBytes, 0);
});

test('one dataset larger than the cache keeps what it has, however much it wants', () => {
  for (const policy of ['auto', 'keep'] as const) {
    const found = deal(full, [tenant('a', { policy, hasBytes: 1000, needBytes: 4000, wants: true })], hourMs);
    assert.deepEqual([found.wantedBytes, found.givers], [0, []]);
    assert.equal(found.quotas.get('a'), 1000);
  }
});

test('a newcomer gets its share from who is above its own, a step at a time; a share is a limit meanwhile', () => {
  const old = tenant('old', { hasBytes: 1000, needBytes: 2000, wants: true });
  const found = deal(full, [old, tenant('new', { needBytes: 2000, wants: true, bytesPerSecond: null })], hourMs);
  assert.deepEqual(Object.fromEntries(found.shares ?? []), { old: 500, new: 500 });
  assert.deepEqual(givers(found), [['old', 500]]);
  assert.equal(found.wantedBytes, 1000 / 16);
  assert.deepEqual(Object.fromEntries(found.quotas), { old: 1000, new: 500 });
  const later = deal(
    { ...full, freeBytes: 60 },
    [{ ...old, hasBytes: 900 }, tenant('new', { hasBytes: 40, needBytes: 2000, wants: true })],
    hourMs,
  );
  assert.equal(later.quotas.get('old'), 900, 'what came free is not for who is above its share');
});

test('who is near its share takes nothing from anybody: shares that waver move nothing', () => {
  const one = tenant('one', { hasBytes: 510, needBytes: 2000, wants: true, bytesPerSecond: 99 });
  const other = tenant('other', { hasBytes: 490, needBytes: 2000, wants: true, bytesPerSecond: 101 });
  assert.equal(deal(full, [one, other], hourMs).wantedBytes, 0);
});

test('room that is free goes to anybody, though it be above its share', () => {
  const one = tenant('one', { hasBytes: 600, needBytes: 2000, wants: true });
  const found = deal({ ...full, freeBytes: 400 }, [one, tenant('idle', { needBytes: 800 })], hourMs);
  assert.equal(found.quotas.get('one'), 1000);
});

test('keep gives nothing while it is in use', () => {
  const kept = tenant('kept', { policy: 'keep', hasBytes: 1000, needBytes: 2000, wants: true });
  const found = deal(full, [kept, tenant('new', { needBytes: 2000, wants: true })], hourMs);
  assert.deepEqual(found.givers, []);
  const unread = { ...kept, wants: false, idleMs: hourMs };
  assert.deepEqual(givers(deal(full, [unread, tenant('new', { wants: true })], hourMs)), [['kept', Infinity]]);
});

test('the detached give first, then stream, then what nobody read for an hour, the longest unread first', () => {
  const found = deal(
    full,
    [
      tenant('unread', { hasBytes: 100, idleMs: hourMs }),
      tenant('longer', { hasBytes: 100, idleMs: 2 * hourMs }),
      tenant('stream', { policy: 'stream', hasBytes: 100 }),
      tenant('gone', { policy: null, hasBytes: 100 }),
      tenant('new', { wants: true, needBytes: 50 }),
    ],
    hourMs,
  );
  assert.deepEqual(
    found.givers.map(({ identity }) => identity),
    ['gone', 'stream', 'longer', 'unread'],
  );
  assert.ok(found.wantedBytes > 0);
});

test('a load of what is pinned gets room from everybody, and nobody else takes it meanwhile', () => {
  const kept = tenant('kept', { policy: 'keep', hasBytes: 800 });
  const found = deal(
    { ...full, freeBytes: 100, claimedBytes: 300 },
    [kept, tenant('other', { hasBytes: 100 })],
    hourMs,
  );
  assert.equal(found.wantedBytes, 200);
  assert.deepEqual(
    found.givers.map(({ identity }) => identity),
    ['kept', 'other'],
  );
  assert.deepEqual(Object.fromEntries(found.quotas), { kept: 800, other: 100 });
});
