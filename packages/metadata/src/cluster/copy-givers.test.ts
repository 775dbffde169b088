import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { HandClock } from '@millpool/host/testing';

import { CopyGivers } from './copy-givers.ts';

const never = new AbortController().signal;
const path = '/d';

/** What each of some takers is told, as far as it has been. */
function bed() {
  const clock = new HandClock();
  const givers = new CopyGivers(clock);
  const told = new Map<string, string | null>();
  const ask = async (taker: string, signal = never): Promise<void> => {
    void givers.giverFor(path, taker, signal).then(
      (giver) => told.set(taker, giver),
      () => told.set(taker, 'aborted'),
    );
    await clock.advance(0);
  };
  const finish = async (taker: string): Promise<void> => {
    givers.gave(path, taker, true);
    await clock.advance(0);
  };
  return { clock, givers, told, ask, finish };
}

describe('copies that many want', () => {
  test('are given two at a time, then by those that have them too', async () => {
    const { clock, givers, told, ask, finish } = bed();
    for (const taker of ['a', 'b', 'c', 'd', 'e', 'f']) await ask(taker);
    assert.deepEqual(
      [...told],
      [
        ['a', null],
        ['b', null],
      ],
    );
    await finish('a');
    assert.deepEqual([...told].slice(2), [
      ['c', null],
      ['d', 'a'],
      ['e', 'a'],
    ]);
    // One that was sent to another is known to have it when it tells of reads.
    givers.has(path, 'd');
    await clock.advance(0);
    assert.equal(told.get('f'), 'a');
    givers.gave('/elsewhere', 'a', true);
  });

  test('are given up by who has said nothing of them for long', async () => {
    const { clock, givers, told, ask } = bed();
    await ask('a');
    await ask('b');
    await ask('c');
    await clock.advance(3_000);
    givers.gave(path, 'a', false);
    await clock.advance(3_500);
    assert.equal(told.get('c'), null, 'b is gone');
    await ask('d');
    await clock.advance(1_000);
    assert.equal(told.has('d'), false);
    await clock.advance(10_000);
    assert.equal(told.get('d'), null, 'it waits for a while, not forever');
  });

  test('are waited for no longer than they are wanted, and nobody is sent to itself', async () => {
    const { clock, givers, told, ask, finish } = bed();
    const stop = new AbortController();
    await ask('a');
    await ask('b');
    told.delete('b');
    await ask('b');
    assert.equal(told.get('b'), null, 'it asks again');
    await ask('c', stop.signal);
    stop.abort();
    await clock.advance(0);
    assert.equal(told.get('c'), 'aborted');
    await finish('a');
    await ask('d');
    await ask('a');
    assert.deepEqual([told.get('d'), told.get('a')], [null, null], 'a has lost what it had');
    await clock.advance(20_000);
    await ask('e');
    assert.equal(told.get('e'), null);
    givers.has('/never-asked', 'e');
  });
});
