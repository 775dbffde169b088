import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatDurationMs, parseDurationMs } from './duration.ts';
import { formatFreshness, parseFreshness } from './freshness.ts';

test('durations with units, never without', () => {
  const durations: readonly [string, number][] = [
    ['250ms', 250],
    ['60s', 60_000],
    ['1.5m', 90_000],
    ['2h', 7_200_000],
    ['1d', 86_400_000],
    ['0s', 0],
    [' 5 s ', 5_000],
  ];
  for (const [text, durationMs] of durations) assert.equal(parseDurationMs(text), durationMs, text);
  for (const text of ['', '5', 's', '-1s', '1e3s', '1 week', '99999999999999d']) {
    assert.throws(() => parseDurationMs(text), { code: 'invalid' }, text);
  }
});

test('durations for people', () => {
  const shown = [0, 0.4, 250, 999, 1_000, 1_234, 5_000, 60_000, 90_000, 3_600_000, 86_400_000].map(formatDurationMs);
  assert.deepEqual(shown, ['0ms', '0ms', '250ms', '999ms', '1s', '1.2s', '5s', '1m', '90s', '1h', '1d']);
});

test('freshness', () => {
  assert.deepEqual(parseFreshness('immutable'), { kind: 'immutable' });
  assert.deepEqual(parseFreshness('strict'), { kind: 'strict' });
  assert.deepEqual(parseFreshness('ttl=60s'), { kind: 'ttl', seconds: 60 });
  assert.deepEqual(parseFreshness('ttl=500ms'), { kind: 'ttl', seconds: 0.5 });
  for (const text of ['immutable', 'strict', 'ttl=90s', 'ttl=0.5s'])
    assert.equal(formatFreshness(parseFreshness(text)), text);
  for (const text of ['', 'ttl', 'ttl=', 'ttl=60', 'TTL=60s', 'never']) {
    assert.throws(() => parseFreshness(text), { code: 'invalid' }, text);
  }
});
