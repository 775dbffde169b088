import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { setImmediate as turnOfEventLoop } from 'node:timers/promises';

import { openLmdbStore } from '@millpool/coordination';
import type { CoordStore } from '@millpool/coordination';
import { HandClock, LogLines } from '@millpool/host/testing';
import { startMetadata } from '@millpool/metadata';
import { Engine } from '@millpool/native';
import { openUnderStorage } from '@millpool/under-storage';

import { LoadJobs } from './load-jobs.ts';
import { LoadRecords } from './load-record.ts';

const { signal } = new AbortController();
const clock = new HandClock();
const { log } = new LogLines();
const request = { path: '/absent', verify: false, limits: { bytesPerSecond: null, getsAtOnce: null } };

/** What a daemon has between its start and the moment in which its loads go on. */
async function parts(t: TestContext): Promise<{ coordination: CoordStore; open: () => Promise<LoadJobs> }> {
  const directory = await mkdtemp(join(tmpdir(), 'millpool-jobs-'));
  await mkdir(join(directory, 'data'));
  const coordination = await openLmdbStore(join(directory, 'coordination'), { clock });
  const metadata = await startMetadata({
    directory: join(directory, 'metadata'),
    store: coordination,
    open: openUnderStorage,
    clock,
    log,
  });
  const engine = await Engine.open({
    devices: [{ path: join(directory, 'data'), sizeBytes: 2 ** 30, reserveBytes: 0, tier: 'fast' }],
    extentDelayMs: 5,
    idleSealMs: 30_000,
    budgetBytes: 64 * 2 ** 20,
    sourceTimeoutMs: 90_000,
    hedge: false,
    threads: 2,
  });
  t.after(async () => {
    await engine.close();
    await metadata.stop();
    await coordination.close();
    await rm(directory, { recursive: true });
  });
  const eviction = {
    expect: () => () => undefined,
    withRoom: <T>(_: unknown, load: (isMade: boolean) => Promise<T>): Promise<T> => load(true),
  };
  const tiering = { roomFor: async () => ({ bytes: 2 ** 30, release: () => undefined }) };
  const config = { coordination, metadata, engine, eviction, tiering, clock, log, directory: join(directory, 'loads') };
  return { coordination, open: () => LoadJobs.open(config) };
}

test('a load that has not gone on yet is waited for, and can be cancelled for good', async (t) => {
  const { coordination, open } = await parts(t);
  const { job } = await new LoadRecords(coordination, log).add(request, new Date(clock.nowMs()).toISOString());
  const jobs = await open();
  let answered = false;
  const waiting = jobs.wait(job, 30, signal).finally(() => {
    answered = true;
  });
  for (let turn = 0; turn < 50; turn += 1) await turnOfEventLoop();
  assert.equal(answered, false, 'it is not answered again and again');
  await clock.advance(30_000);
  assert.equal((await waiting).state, 'running');

  assert.equal((await jobs.cancel(job)).state, 'cancelled');
  jobs.resume();
  assert.equal((await jobs.wait(job, 30, signal)).state, 'cancelled', 'at once');
  const later = await open();
  later.resume();
  assert.equal((await later.wait(job, 30, signal)).state, 'cancelled');
  await later.stop();
});
