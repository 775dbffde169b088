import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
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

test('the first signal asks, the second kills', { timeout: 30_000 }, async () => {
  const program = `
    import { Shutdown } from ${JSON.stringify(new URL('./shutdown.js', import.meta.url).href)};
    new Shutdown({}).onSignal((signal) => process.stdout.write(signal));
    setInterval(() => {}, 1000);
    process.stdout.write('up');`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', program], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const said = async (): Promise<string> => String((await once(child.stdout, 'data'))[0]);
  assert.equal(await said(), 'up');
  child.kill('SIGINT');
  assert.equal(await said(), 'SIGINT');
  child.kill('SIGINT');
  assert.deepEqual(await once(child, 'exit'), [null, 'SIGINT']);
});
