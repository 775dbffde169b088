import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import type { TestContext } from 'node:test';

import { openLmdbStore } from '@millpool/coordination';
import { HandClock, LogLines } from '@millpool/host/testing';
import { startMetadata } from '@millpool/metadata';
import { Engine, identityHash } from '@millpool/native';
import { openUnderStorage } from '@millpool/under-storage';

import { Datasets } from './datasets.ts';
import { Plans } from './plans.ts';
import { SegmentWorths } from './segment-worths.ts';
import { Tiering } from './tiering.ts';

const miB = 2 ** 20;
const { signal } = new AbortController();
const canonical = 'local of a test';
const identity = identityHash(canonical);
// An engine keeps no event loop alive: a daemon's other socket does.
const alive = setInterval(() => undefined, 60_000);
after(() => clearInterval(alive));

/** Of an engine with 64 MiB of each tier, or of the fast one alone. */
async function tieringOf(t: TestContext, tiers: readonly ('fast' | 'slow')[]) {
  const directory = await mkdtemp(join(tmpdir(), 'millpool-tiering-'));
  for (const tier of tiers) await mkdir(join(directory, tier));
  const engine = await Engine.open({
    devices: tiers.map((tier) => ({ path: join(directory, tier), sizeBytes: 64 * miB, reserveBytes: 0, tier })),
    extentDelayMs: 5,
    idleSealMs: 30_000,
    budgetBytes: 64 * miB,
    sourceTimeoutMs: 90_000,
    hedge: false,
    threads: 2,
  });
  const source = { kind: 'folder', root: directory } as const;
  engine.attach(1, { identity: canonical, source, admit: true, compression: 'off' });
  const clock = new HandClock();
  const { log } = new LogLines();
  const store = await openLmdbStore(join(directory, 'coordination'), { clock });
  const kept = { directory: join(directory, 'metadata'), store, open: openUnderStorage };
  const metadata = await startMetadata({ ...kept, clock, log });
  const datasets = await Datasets.at(join(directory, 'datasets'), metadata, clock);
  const plans = new Plans(datasets, { engine, clock, engineBytes: 64 * miB });
  const worths = new SegmentWorths({ engine, plans });
  const tiering = new Tiering({ engine, plans, worths, clock, log });
  t.after(async () => {
    await tiering.stop();
    await engine.close();
    await metadata.stop();
    await store.close();
    await rm(directory, { recursive: true });
  });
  return { roomBytes: engine.room(identity), clock, tiering };
}

test('room that was granted is granted to nobody else until it is released', async (t) => {
  const { roomBytes, clock, tiering } = await tieringOf(t, ['fast', 'slow']);
  const first = await tiering.roomFor(identity, roomBytes - 20 * miB, signal);
  const second = await tiering.roomFor(identity, 64 * miB, signal);
  assert.equal(first.bytes, roomBytes - 20 * miB);
  assert.equal(second.bytes, 20 * miB, 'what is left');

  let third: number | null = null;
  const waiting = tiering.roomFor(identity, 30 * miB, signal).then(({ bytes }) => (third = bytes));
  await clock.advance(60_000);
  assert.equal(third, null, 'it waits for as long as others fill theirs');
  first.release();
  first.release();
  await clock.advance(100);
  assert.equal(await waiting, 30 * miB);
});

test('one that gives up leaves nothing granted', async (t) => {
  const { roomBytes, clock, tiering } = await tieringOf(t, ['fast', 'slow']);
  const all = await tiering.roomFor(identity, 2 * roomBytes, signal);
  const abort = new AbortController();
  const waiting = tiering.roomFor(identity, miB, abort.signal);
  abort.abort();
  await assert.rejects(waiting);
  all.release();
  await clock.advance(100);
  assert.equal((await tiering.roomFor(identity, 2 * roomBytes, signal)).bytes, roomBytes);
});

test('without a slow tier nobody waits', async (t) => {
  const { roomBytes, tiering } = await tieringOf(t, ['fast']);
  for (let n = 0; n < 2; n += 1) assert.equal((await tiering.roomFor(identity, roomBytes, signal)).bytes, Infinity);
});
