import assert from 'node:assert/strict';
import { test } from 'node:test';

import { waitCauses } from '@millpool/protocol';
import type { Activity, JobStatus, SecondsByCause } from '@millpool/protocol';

import { bar, cut, render, sparkline } from './drawing.ts';
import type { Canvas } from './drawing.ts';
import { ratesOf } from './rates.ts';
import { viewOf } from './view.ts';

const none = Object.fromEntries(waitCauses.map((cause) => [cause, 0])) as SecondsByCause;
const canvas: Canvas = { columns: 140, rows: 30, blocks: true, colours: false };

const devices = [
  { path: '/fast', tier: 'fast', sizeBytes: 100, usedBytes: 50, heldBytes: 0, state: 'ok', reason: '' },
  { path: '/dead', tier: 'slow', sizeBytes: 100, usedBytes: 0, heldBytes: 0, state: 'failed', reason: 'EIO' },
] as const;

const program = { version: '1.2.3', pid: 7 };
const nobody = { attachments: [], pins: [], holders: [] } as const;

/** A daemon after so many seconds of 1,000 samples and 1 MiB a second, half of it fetched. */
function activityAt(seconds: number): Activity {
  const read = { samples: 1_000 * seconds, hitSamples: 500 * seconds, bytes: seconds * 2 ** 20 };
  const waitSeconds = { ...none, source: 0.25 * seconds };
  return {
    status: {
      ...program,
      uptimeSeconds: seconds,
      ...nobody,
      devices,
      cache: {
        state: 'on',
        why: '',
        records: 1,
        bytes: 1,
        rawBytes: 1,
        samples: read.samples,
        hitRatio: 0.5,
        gets: 100 * seconds,
        sourceBytes: seconds * 2 ** 19,
        retries: 0,
        sourceErrors: 0,
        hedges: { sent: 0, won: 0, bytes: 0, held: 0 },
        damagedRecords: 0,
        evictedBytes: 0,
        copied: { segments: 0, bytes: 0, freedBytes: 0 },
        demotedBytes: 0,
        promotedBytes: 0,
      },
      waitSeconds,
      rssBytes: 2 ** 27,
      budgetBytes: 2 ** 29,
    },
    atSeconds: seconds,
    read,
    fetchedAheadSamples: 0,
    waitSeconds,
    fetching: 3,
    queued: 4,
    sources: [],
    readers: [{ connection: 1, pid: 42, program: '/usr/bin/python3 -u /home/a/train.py --lr 1', read }],
    loaders: [
      {
        plan: 1,
        connection: 1,
        path: '/train\u001b[2J',
        version: '0'.repeat(64),
        epoch: 3,
        rank: 0,
        world: 2,
        samples: 10_000,
        position: 2_500,
        read,
        fetchedAheadSamples: 0,
        waitSeconds,
      },
    ],
    jobs: [jobAt(seconds)],
  };
}

function jobAt(seconds: number): JobStatus {
  return {
    job: 5,
    path: '/val',
    verify: false,
    limits: { bytesPerSecond: null, getsAtOnce: null },
    state: 'running',
    files: 10,
    filesDone: 1,
    bytes: 2 ** 30,
    bytesDone: seconds * 2 ** 20,
    bytesPerSecond: 2 ** 20,
    secondsLeft: 900,
    startedAt: '2026-01-01T00:00:00.000Z',
    endedAt: null,
    seconds,
    error: null,
    failures: [],
    failureCount: 2,
  };
}

const moment = { before: activityAt(100), now: activityAt(102), history: [1, 2, 4] };

test('rates are of the time between two readings, and a daemon that was started again gives none below zero', () => {
  const rates = ratesOf(moment.before, moment.now);
  assert.equal(rates.samplesPerSecond, 1_000);
  assert.equal(rates.bytesPerSecond, 2 ** 20);
  assert.equal(rates.sourceBytesPerSecond, 2 ** 19);
  assert.equal(rates.hitRatio, 0.5);
  assert.equal(rates.waitSecondsPerSecond.source, 0.25);
  const restarted = ratesOf(activityAt(100), activityAt(1));
  assert.ok(restarted.bytesPerSecond >= 0 && restarted.waitSecondsPerSecond.source >= 0);
  assert.equal(ratesOf(moment.now, moment.now).hitRatio, null);
});

test('everything that goes on is shown, and no name moves the cursor', () => {
  const text = viewOf(moment, canvas)
    .map((line) => render(line, canvas))
    .join('\n');
  for (const shown of [
    /read +1MiB\/s +1\.0k samples\/s/,
    /source +512KiB\/s +100 GETs\/s, 3 run, 4 wait/,
    /50\.0 % of samples needed no GET/,
    /waits +source 0\.25 s\/s/,
    /\/fast .*50B of 100B/,
    /\/dead .*failed/,
    /LOADERS 1/,
    /42 python3 train\.py .*epoch 3 .*25\.0 %/,
    /5 {2}\/val .* of 1GiB, 1MiB\/s, .* left {2}2 failed/,
    /READERS 1/,
  ]) {
    assert.match(text, shown);
  }
  // eslint-disable-next-line no-control-regex
  assert.doesNotMatch(text, /\u001b/);
});

test('it fits any terminal, with and without colours, in plain characters too', () => {
  for (const columns of [1, 20, 45, 60, 80, 132, 300]) {
    for (const rows of [1, 2, 8, 14, 24, 60]) {
      for (const colours of [false, true]) {
        const small: Canvas = { columns, rows, blocks: false, colours };
        const lines = viewOf(moment, small);
        assert.ok(lines.length <= rows, `${lines.length} lines on ${rows}`);
        for (const line of lines) {
          // eslint-disable-next-line no-control-regex
          const shown = render(line, small).replace(/\u001b\[\d+m/g, '');
          assert.ok([...shown].length <= columns, `${shown} on ${columns}`);
        }
      }
    }
  }
});

test('bars and lines show shares and heights', () => {
  const plainCanvas = { ...canvas, blocks: false };
  assert.equal(bar(0.5, 4, plainCanvas), '##..');
  assert.equal(bar(2, 2, canvas), '██');
  assert.equal(bar(0, 2, canvas), '░░');
  assert.equal(sparkline([0, 1, 8], 5, canvas), '   ▂█');
  assert.equal(cut('abcdef', 4), 'abc…');
  assert.equal(cut('abc   ', 4), 'abc ');
});
