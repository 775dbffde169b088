import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MillpoolError } from '@millpool/protocol';
import { openLog } from './log.ts';
import type { LogFormat, LogLevel } from './log.ts';
import { HandClock } from './testing/hand-clock.ts';
import { LogLines } from './testing/log-lines.ts';

function linesOf(level: LogLevel, format: LogFormat): { lines: string[]; log: ReturnType<typeof openLog> } {
  const lines: string[] = [];
  return { lines, log: openLog({ level, format, write: (line) => lines.push(line), clock: new HandClock() }) };
}

test('text: one line an event, values quoted only where they must be', () => {
  const { lines, log } = linesOf('info', 'text');
  log.with({ attachment: 3 }).info('listed', { path: '/a b\n', count: 2, source: 's3://b/x', why: null });
  assert.deepEqual(lines, [
    '2026-01-01T00:00:00.000Z info  listed attachment=3 path="/a b\\n" count=2 source=s3://b/x why=null\n',
  ]);
});

test('json: one object an event; a field cannot pose as its time, level or event', () => {
  const { lines, log } = linesOf('debug', 'json');
  log.warn('slow', { level: 'x', seconds: 1.5, big: 7n, bytes: new Uint8Array(3) });
  assert.deepEqual(
    lines.map((line) => JSON.parse(line) as unknown),
    [{ time: '2026-01-01T00:00:00.000Z', level: 'warn', event: 'slow', seconds: 1.5, big: '7', bytes: '3 bytes' }],
  );
});

test('what is below the level is not written', () => {
  const { lines, log } = linesOf('warn', 'text');
  log.debug('a');
  log.info('b');
  log.warn('c');
  log.error('d');
  assert.equal(lines.length, 2);
  const silent = linesOf('silent', 'text');
  silent.log.error('e');
  assert.equal(silent.lines.length, 0);
});

test('secrets are never printed, whether by name or by look, at any depth', () => {
  const secret = 'hunter2hunter2';
  const said = new LogLines();
  said.log.info('x', {
    secretAccessKey: secret,
    nested: { sessionToken: secret, list: [{ password: secret }], accessKeyId: secret },
    url: `https://user:${secret}@host/a?X-Amz-Signature=${secret}&x=1`,
    header: `Authorization: AWS4-HMAC-SHA256 Credential=${secret}`,
    error: new MillpoolError({ code: 'io', message: `GET http://me:${secret}@h/ failed`, remedy: '' }),
    cause: new Error(`GET http://h/?X-Amz-Security-Token=${secret}`),
    key: 'AKIAIOSFODNN7EXAMPLE',
  });
  const line = said.lines.join('');
  assert.ok(!line.includes(secret), line);
  assert.ok(!line.includes('AKIAIOSFODNN7EXAMPLE'), line);
  assert.ok(line.includes('https://[redacted]@host/a?X-Amz-Signature=[redacted]&x=1'), line);
});
