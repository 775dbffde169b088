import assert from 'node:assert/strict';
import { test } from 'node:test';

import fc from 'fast-check';

import { mergeSorted } from './merge.ts';

const compare = (left: { at: number }, right: { at: number }): number => left.at - right.at;

test('sorted streams become one sorted stream that holds everything, equal items in the order of their streams', () => {
  fc.assert(
    fc.property(fc.array(fc.array(fc.nat({ max: 30 }), { maxLength: 20 }), { maxLength: 12 }), (lists) => {
      const streams = lists.map((list, stream) => list.toSorted((a, b) => a - b).map((at) => ({ at, stream })));
      const merged = [
        ...mergeSorted(
          streams.map((stream) => stream.values()),
          compare,
        ),
      ];
      const sorted = streams.flat().toSorted((left, right) => left.at - right.at || left.stream - right.stream);
      assert.deepEqual(merged, sorted);
    }),
  );
});

test('ending early ends every stream', () => {
  const ended = new Set<number>();
  function* numbers(stream: number): Generator<{ at: number }> {
    try {
      for (let at = stream; ; at += 3) yield { at };
    } finally {
      ended.add(stream);
    }
  }
  for (const { at } of mergeSorted([numbers(0), numbers(1), numbers(2)], compare)) if (at === 10) break;
  assert.deepEqual(ended, new Set([0, 1, 2]));
});
