import assert from 'node:assert/strict';
import { test } from 'node:test';

import type { PlanRequest } from '@millpool/protocol';

import { jobsAhead } from './jobs-ahead.ts';
import type { PlanStanding } from './jobs-ahead.ts';

function standing(facts: Partial<PlanRequest>, position = 0, pace: number | null = null): PlanStanding {
  const rest = { shuffle: true, dropLast: false, position: 0, globalBatch: 8, rank: 0, world: 4 };
  return { request: { version: 'v', seed: 1, epoch: 0, ...rest, ...facts }, position, pace };
}

test('ranks of one job are one, at the place of the last of them; another seed or grid is another job', () => {
  const plans = [
    standing({ rank: 2 }, 64),
    standing({ seed: 2 }, 8),
    standing({ rank: 0 }, 56),
    standing({ rank: 0 }, 80),
    standing({ position: 16 }, 16),
    standing({ version: 'w' }, 3),
  ];
  const found = jobsAhead(new Map(plans.entries()));
  const { jobs = [], jobOf } = found.get('v') ?? {};
  assert.deepEqual([...(jobOf ?? [])], [[0, 0], [1, 1], [2, 0], [3, 0], [4, 2]]); // prettier-ignore
  assert.deepEqual(
    jobs.map(({ ranks, position, begunAt }) => ({ ranks, position, begunAt })),
    [
      { ranks: [2, 0], position: 56, begunAt: 0 },
      { ranks: [0], position: 8, begunAt: 0 },
      { ranks: [0], position: 16, begunAt: 16 },
    ],
  );
  assert.deepEqual(found.get('w')?.jobOf.get(5), 0);
  assert.equal(jobsAhead(new Map()).size, 0);
});

test('time is in positions of the fastest; who has not begun is as fast as the others, and nobody stands still', () => {
  const pacesOf = (paces: readonly (number | null)[]): readonly number[] => {
    const plans = paces.map((pace, seed) => standing({ seed }, 0, pace));
    return (jobsAhead(new Map(plans.entries())).get('v')?.jobs ?? []).map(({ pace }) => pace);
  };
  assert.deepEqual(pacesOf([30, null, 10, 0]), [1, 2 / 3, 1 / 3, 0.05]);
  assert.deepEqual([pacesOf([null]), pacesOf([5000])], [[1], [1]]);
  assert.deepEqual([pacesOf([null, null]), pacesOf([0])], [[1, 1], [0.05]]);
});
