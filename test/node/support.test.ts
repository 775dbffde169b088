import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';

import { errorOf, objectsOf } from '../harness/command-output.ts';
import { runMillpool } from '../harness/millpool-process.ts';
import type { MillpoolNode } from '../harness/millpool-process.ts';
import { S3Bed } from '../harness/s3-bed.ts';
import { ensureVersitygw } from '../harness/versitygw-binary.ts';

interface Report {
  readonly version: string;
  readonly settings: readonly { readonly name: string; readonly value: string | null }[];
  readonly variables: readonly string[];
  readonly checks: readonly { readonly name: string; readonly level: string }[];
  readonly activity: {
    readonly error?: { readonly code: string };
    readonly readers: readonly { readonly pid: number; readonly program: string }[];
    readonly sources: readonly { readonly path: string }[];
  };
  readonly log: { readonly path: string; readonly lines?: readonly string[]; readonly error?: string };
}

const argumentSecret = 'key-of-somebody-elses-program';
const urlSecret = 'password-in-a-url';
const headerSecret = 'AWS4-HMAC-SHA256-of-a-request';

/** Reads, says so, and stays. */
const readerScript = `
  const { connect } = await import(process.env.CLIENT);
  const mill = await connect();
  await mill.read('/support/one');
  console.log('read');
  setInterval(() => undefined, 1_000);
`;

const versitygw = await ensureVersitygw({ say: (text) => void process.stderr.write(`${text}\n`) });
const skip = versitygw.kind === 'unavailable' ? versitygw.why : false;

describe('a report for support', { skip }, () => {
  let bed: S3Bed;
  let node: MillpoolNode;
  let log: string;

  before(async () => {
    assert.ok(versitygw.kind === 'ready');
    bed = await S3Bed.start('support', versitygw.what);
    await bed.put('one', Buffer.from('a sample'));
    log = join(bed.directory, 'millpool.log');
    node = await bed.startNode({ env: { MILLPOOL_LOG_FILE: log } });
  });
  after(() => bed.stop());

  test('a report tells what a fault may be in, and no secret of anybody', async (t) => {
    const script = join(bed.directory, 'reader.mjs');
    await writeFile(script, readerScript);
    const reader = spawn(process.execPath, [script, `--api-key=${argumentSecret}`], {
      env: { ...process.env, MILLPOOL_SOCKET: node.socket, CLIENT: import.meta.resolve('@millpool/client') },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    t.after(() => reader.kill());
    await once(reader.stdout, 'data');
    await writeFile(log, `endpoint=http://me:${urlSecret}@host/ authorization: ${headerSecret}\n`, { flag: 'a' });

    const file = join(bed.directory, 'fault.json');
    const [written] = objectsOf(await node.run('support', '--output', file, '--json'));
    const text = await readFile(file, 'utf8');
    assert.deepEqual(written, { path: file, bytes: Buffer.byteLength(text) });
    assert.equal((await stat(file)).mode & 0o777, 0o600);
    for (const secret of [bed.env['AWS_SECRET_ACCESS_KEY'] ?? '', argumentSecret, urlSecret, headerSecret]) {
      assert.ok(secret.length > 0 && !text.includes(secret), `it holds ${secret}`);
    }

    const report = JSON.parse(text) as Report;
    assert.equal(report.settings.find(({ name }) => name === 'logFile')?.value, log);
    assert.ok(report.variables.includes('AWS_SECRET_ACCESS_KEY'), 'names of variables are told');
    assert.ok(report.checks.some(({ name, level }) => name === `attachment ${bed.root}` && level === 'ok'));
    assert.deepEqual(
      report.activity.sources.map(({ path }) => path),
      [bed.root],
    );
    const known = report.activity.readers.find(({ pid }) => pid === reader.pid);
    assert.equal(known?.program, process.execPath);
    assert.match(report.log.lines?.join('\n') ?? '', /attachment made.*\[redacted\]/s);
  });

  test('without a daemon it tells what there is; what is there already is not written over', async () => {
    const env = { ...process.env, MILLPOOL_SOCKET: join(bed.directory, 'none.sock') };
    const told = await runMillpool(['support', '--output', '-'], env);
    assert.equal(told.code, 0, told.stderr);
    const report = JSON.parse(told.stdout) as Report;
    assert.equal(report.activity.error?.code, 'unreachable');
    assert.match(report.log.error ?? '', /no such file/);

    const file = join(bed.directory, 'kept.json');
    await writeFile(file, 'mine');
    const again = await runMillpool(['support', '--output', file, '--json'], env);
    assert.equal(again.code, 1);
    assert.equal(errorOf(again).code, 'exists');
    assert.equal(await readFile(file, 'utf8'), 'mine');
  });
});
