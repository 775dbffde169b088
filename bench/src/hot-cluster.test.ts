import assert from 'node:assert/strict';
import { test } from 'node:test';

import { HotCluster } from './hot-cluster.ts';

const times = {
  owner: { question: 0.1, name: 0.01 },
  caller: { question: 0.1, name: 0.01 },
  local: { question: 0.05, name: 0.005 },
  copy: { giver: 0.001, taker: 0.002 },
};
const of = { nodes: 8, names: 100_000, times };

test('one owner is the limit until its directory is published, and then every node for itself', () => {
  const uniform = new HotCluster({ ...of, hotReadsPerS: null }).run(4);
  const hot = new HotCluster({ ...of, hotReadsPerS: 5_000 }).run(20);
  const never = new HotCluster({ ...of, hotReadsPerS: 1e9 }).run(6);
  const [evenly, published, alone] = [uniform, hot, never].map((seconds) => seconds.at(-1) ?? 0) as [
    ...[number, number, number],
  ];
  assert.ok(alone < 0.3 * evenly, `${alone} of ${evenly}`);
  assert.ok((hot[0] ?? 0) < 0.3 * evenly);
  assert.ok(published > evenly, `${published} of ${evenly}`);
  // Each node has as long for it as virtual time lasts.
  const bound = (1_000 * of.nodes * 64) / (times.local.question + 64 * times.local.name);
  assert.ok(published <= 1.01 * bound, `${published} of ${bound} at most`);
});

test('the same cluster does the same', () => {
  const run = (): number[] => new HotCluster({ ...of, hotReadsPerS: 5_000 }).run(8);
  assert.deepEqual(run(), run());
});
