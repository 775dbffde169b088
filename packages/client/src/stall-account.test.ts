import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';

import type { PlanProgress } from '@millpool/protocol';

import type { CacheFacts } from './cache-facts.ts';
import { StallAccount } from './stall-account.ts';
import type { Counted, Delivery, Surroundings } from './stall-account.ts';

const noWaits = { sourceNs: 0, peerNs: 0, deviceNs: 0, gatherNs: 0, queueNs: 0 };
const noReplay = { samples: 0, bytes: 0, seconds: 0 };
const dataset = { path: '/data', bytes: 1e9 };
const around: Surroundings = { dataset, replays: { gather: noReplay, device: noReplay }, cache: null };
const cache: CacheFacts = {
  capacityBytes: 4e9,
  cachedBytes: 0,
  policy: 'auto',
  state: 'on',
  why: '',
  hedges: { sent: 0, won: 0 },
};

function batch(waits: Partial<Counted['waits']>, counts: Partial<Counted> = {}): Counted {
  const numbers = { length: 10, hits: 10, device: 0, bytes: 1000, fetchedBytes: 0, deviceBytes: 0 };
  return { ...numbers, failures: { size: 0 }, waits: { ...noWaits, ...waits }, ...counts };
}

/** Batches of which each is waited for 100 ms, after 10 ms of work on the one before. */
function accountOf(batches: readonly Counted[]): StallAccount {
  const account = new StallAccount();
  batches.forEach((one, n) => {
    const askedMs = 1000 + 110 * n;
    account.delivered(one, { askedMs, deliveredMs: askedMs + 100, cameMs: askedMs + 90, skipped: 0 });
  });
  return account;
}

test('a wait is dealt by what the reading spent, and what exceeds the reading is queue', () => {
  const { waitSeconds, seconds } = accountOf([batch({ sourceNs: 30e6, gatherNs: 10e6 })]).report(around);
  assert.equal(seconds.toFixed(6), '0.100000');
  assert.equal(waitSeconds.source.toFixed(6), '0.030000');
  assert.equal(waitSeconds.gather.toFixed(6), '0.010000');
  assert.equal(waitSeconds.queue.toFixed(6), '0.060000');
  const long = accountOf([batch({ sourceNs: 300e6, gatherNs: 100e6 })]).report(around).waitSeconds;
  assert.equal(long.source.toFixed(6), '0.075000');
  assert.equal(long.queue, 0);
});

test('tiers add up to what was read, and what was fetched ahead is the source’s', () => {
  const account = accountOf([batch({}, { hits: 6, device: 2, fetchedBytes: 400, deviceBytes: 200 })]);
  assert.deepEqual(account.report(around).tiers, {
    memory: { samples: 4, bytes: 400 },
    device: { samples: 2, bytes: 200 },
    source: { samples: 4, bytes: 400 },
  });
  account.fetchedAhead({ fetchedSamples: 3, fetchedBytes: 300, fetchSeconds: 1 });
  const { tiers, sourceBytes, cacheBytes, hitRatio } = account.report(around);
  assert.deepEqual(tiers.source, { samples: 7, bytes: 700 });
  assert.deepEqual([tiers.memory.samples, tiers.device.samples], [1, 2]);
  assert.deepEqual([sourceBytes, cacheBytes, hitRatio], [700, 300, 0.3]);
});

test('ceilings: the source while fetches ran, others from replays, the step from batches that were ready', () => {
  const fetched = batch({ sourceNs: 50e6 }, { hits: 0, fetchedBytes: 1000 });
  const account = accountOf([fetched, fetched]);
  const replays = { gather: { samples: 500, bytes: 1, seconds: 0.5 }, device: { samples: 30, bytes: 1, seconds: 0.1 } };
  const { source, gather, device, step, transform } = account.report({ ...around, replays }).ceilings;
  assert.equal(source?.toFixed(3), (20 / 0.1).toFixed(3));
  assert.equal(gather, 1000);
  assert.equal(device?.toFixed(3), '300.000');
  assert.equal(step?.toFixed(3), '1000.000', 'none was ready: of all');
  assert.equal(transform, null);

  // The first was ready, and worked on for 40 ms; the second was not.
  const mixed = new StallAccount();
  mixed.delivered(batch({}), { askedMs: 0, deliveredMs: 1, cameMs: 0, skipped: 0 });
  mixed.delivered(batch({}), { askedMs: 41, deliveredMs: 50, cameMs: 49, skipped: 0 });
  mixed.delivered(batch({}), { askedMs: 51, deliveredMs: 52, cameMs: 52, skipped: 0 });
  assert.equal(mixed.report(around).ceilings.step?.toFixed(3), '250.000');
});

test('a stage is never said to be slower alone than the loop was with it', () => {
  const replays = { gather: { samples: 1, bytes: 1, seconds: 1 }, device: noReplay };
  const { ceilings, samplesPerSecond } = accountOf([batch({ gatherNs: 1e6 })]).report({ ...around, replays });
  assert.equal(ceilings.gather, samplesPerSecond);
});

test('the advice names the largest wait and what shortens it, in one sentence', () => {
  const source = batch({ sourceNs: 100e6 }, { hits: 0, fetchedBytes: 1000 });
  const advices: readonly [RegExp, readonly Counted[], CacheFacts | null][] = [
    [/^Nothing was read yet\.$/, [], null],
    [/under-storage: `millpool load \/data --wait` before training/, [source], null],
    [/in its first pass: `millpool load \/data --wait`.*953\.7MiB here/, [source], cache],
    [/: 381\.5MiB of 953\.7MiB fits, .* size it to 1\.0GiB \(--size\)\.$/, [source], { ...cache, capacityBytes: 4e8 }],
    [/policy stream keeps nothing/, [source], { ...cache, policy: 'stream' }],
    [/nothing more is kept: The disk is full\.$/, [source], { ...cache, state: 'full', why: 'The disk is full.' }],
    [/the next epoch needs no GET/, [source], { ...cache, cachedBytes: 1e9 }],
    [/waits for the cache device.*--data DIR/, [batch({ deviceNs: 100e6 })], cache],
    [/as fast as memory gives them.*fewer bytes a sample/, [batch({ gatherNs: 100e6 })], cache],
    [/release batches sooner.*ringBytes/, [batch({ queueNs: 100e6 })], cache],
    [/a larger batchSize/, [batch({ gatherNs: 1e6 })], cache],
  ];
  for (const [wanted, batches, facts] of advices) {
    const { advice } = accountOf(batches).report({ ...around, cache: facts });
    assert.match(advice, wanted);
  }
});

test('reads that waited for a slot ahead of the loop are not what it waits for', () => {
  const account = new StallAccount();
  for (let n = 0; n < 10; n += 1) {
    const askedMs = 100 * n;
    account.delivered(batch({ queueNs: 400e6 }), { askedMs, deliveredMs: askedMs, cameMs: 0, skipped: 0 });
    account.delivered(batch({}), { askedMs, deliveredMs: askedMs + 90, cameMs: 0, skipped: 0 });
  }
  assert.match(account.report(around).advice, /a larger batchSize makes fewer of them/);
});

test('a loop that works is told so', () => {
  const after = (waitMs: number): string => {
    const account = new StallAccount();
    for (let n = 0; n < 50; n += 1) {
      const askedMs = 100 * n;
      account.delivered(batch({ deviceNs: 1e9 }), { askedMs, deliveredMs: askedMs + waitMs, cameMs: 0, skipped: 0 });
    }
    return account.report(around).advice;
  };
  assert.match(after(1), /own work takes 99 % of the time: faster storage would change nothing\.$/);
  assert.match(after(15), /own work takes 85 % of the time, and most of the rest it waits for device\.$/);
});

test('a report is a table as a string, and all of its numbers as JSON', () => {
  const report = accountOf([batch({ sourceNs: 50e6, gatherNs: 30e6 })]).report(around);
  const lines = String(report).split('\n');
  assert.match(lines[0] ?? '', /^read +10 samples, 1000B, in 1 batches and 0\.10 s$/);
  const waits = lines.filter((line) => line.startsWith('wait')).map((line) => line.split(/ +/)[1]);
  assert.deepEqual(waits, ['source', 'gather', 'queue'], 'the longest first; none that is nothing');
  assert.equal(lines.at(-1), report.advice);
  const parsed = JSON.parse(JSON.stringify(report)) as Record<string, unknown>;
  assert.deepEqual(parsed['waitSeconds'], report.waitSeconds);
  assert.deepEqual(Object.keys(parsed).toSorted(), Object.keys(report).toSorted());
});

/** What an account is told, and what it says of it. Python reads the same file. */
interface ReportVector extends Surroundings {
  readonly name: string;
  readonly deliveries: readonly (Delivery & {
    readonly batch: Omit<Counted, 'failures'> & { readonly failed: number };
  })[];
  readonly ahead: PlanProgress | null;
  readonly report: object;
  readonly text: string;
}

test('each account says what the shared vectors do', () => {
  const text = readFileSync(new URL('../../../test/vectors/stall-report.json', import.meta.url), 'utf8');
  const vectors = JSON.parse(text) as readonly ReportVector[];
  assert.ok(vectors.length > 15);
  for (const { name, deliveries, ahead, report: wanted, text: table, ...surroundings } of vectors) {
    const account = new StallAccount();
    for (const { batch: counted, ...delivery } of deliveries) {
      account.delivered({ ...counted, failures: { size: counted.failed } }, delivery);
    }
    if (ahead !== null) account.fetchedAhead(ahead);
    const report = account.report(surroundings);
    assert.deepEqual(JSON.parse(JSON.stringify(report)), wanted, name);
    assert.equal(String(report), table, name);
  }
});
