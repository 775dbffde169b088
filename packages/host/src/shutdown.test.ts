import assert from 'node:assert/strict';
import { test } from 'node:test';
import { silentLog } from './log.ts';
import { Shutdown } from './shutdown.ts';
import { HandClock } from './testing/hand-clock.ts';

test('parts close last first; one that fails or hangs keeps no other from closing', async () => {
  const clock = new HandClock();
  const closed: string[] = [];
  const shutdown = new Shutdown({ clock, log: silentLog, partTimeoutMs: 5_000 });
  shutdown.onClose('first', async () => void closed.push('first'));
  shutdown.onClose('hanging', () => new Promise(() => {}));
  shutdown.onClose('failing', () => Promise.reject(new Error('no')));
  shutdown.onClose('last', async () => void closed.push('last'));
  const closing = shutdown.close();
  assert.equal(shutdown.close(), closing, 'once');
  assert.throws(() => shutdown.onClose('late', async () => {}), { code: 'closed' });
  await clock.advance(5_000);
  const failures = await closing;
  assert.deepEqual(closed, ['last', 'first']);
  assert.deepEqual(
    failures.map(({ code }) => code),
    ['internal', 'timeout'],
  );
  assert.match(failures[1]?.message ?? '', /hanging to close/);
});
