import assert from 'node:assert/strict';
import { test } from 'node:test';

import { HandClock } from '@millpool/host/testing';

import { rootEntry } from '../resolved-entry.ts';
import { Replicas } from './replicas.ts';

test('a replica answers as long as it is fresh, for the attachment that it is of', async () => {
  const clock = new HandClock();
  const replicas = new Replicas(clock);
  const result = rootEntry('/d/a', 3);
  replicas.keep('/d/a', { attachment: 3, result, freshUntilMs: 1_000 });
  await clock.advance(1_000);
  assert.equal(replicas.get('/d/a', 3), result);
  assert.equal(replicas.get('/d/b', 3), null);
  await clock.advance(1);
  assert.equal(replicas.get('/d/a', 3), null);
  replicas.keep('/d/a', { attachment: 3, result, freshUntilMs: Infinity });
  assert.equal(replicas.get('/d/a', 4), null, 'attached anew');
});

test('of too many, those that were kept first go', () => {
  const replicas = new Replicas(new HandClock());
  const replica = (path: string) => ({ attachment: 1, result: rootEntry(path, 1), freshUntilMs: Infinity });
  for (let at = 0; at < 1_024; at += 1) replicas.keep(`/${at}`, replica(`/${at}`));
  replicas.keep('/0', replica('/0'));
  replicas.keep('/1024', replica('/1024'));
  assert.deepEqual([replicas.get('/1', 1), replicas.get('/0', 1) !== null], [null, true]);
});
