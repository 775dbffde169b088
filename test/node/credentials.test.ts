import assert from 'node:assert/strict';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';

import { connect } from '@millpool/client';
import type { ErrorCode } from '@millpool/protocol';

import { errorOf, objectsOf } from '../harness/command-output.ts';
import { runMillpool } from '../harness/millpool-process.ts';
import type { CommandResult } from '../harness/millpool-process.ts';
import { S3Bed } from '../harness/s3-bed.ts';
import { seededBytes } from '../harness/seeded-random.ts';
import { freePort } from '../harness/server-process.ts';
import { ensureVersitygw } from '../harness/versitygw-binary.ts';

const versitygw = await ensureVersitygw({ say: (text) => void process.stderr.write(`${text}\n`) });
const skip = versitygw.kind === 'unavailable' ? versitygw.why : false;

/** A way to ask wrongly for a source, and what is said to it. */
interface Slip {
  readonly title: string;
  readonly source?: string;
  /** Over the environment of one who has it right; null takes away. */
  readonly env: Readonly<Record<string, string | null>>;
  readonly exit: number;
  readonly code: ErrorCode;
  /** What the message must name. */
  readonly names: RegExp;
}

const slips: readonly Slip[] = [
  {
    title: 'a bucket that is not there',
    source: 's3://nonesuch',
    env: {},
    exit: 4,
    code: 'not-found',
    names: /bucket nonesuch at http/,
  },
  {
    title: 'a prefix with nothing below it',
    source: 's3://secrets/nope',
    env: {},
    exit: 4,
    code: 'not-found',
    names: /s3:\/\/secrets\/nope/,
  },
  {
    title: 'no credentials',
    env: { AWS_ACCESS_KEY_ID: null, AWS_SECRET_ACCESS_KEY: null },
    exit: 6,
    code: 'refused',
    names: /no AWS credentials .*s3:\/\/secrets/,
  },
  {
    title: 'a profile that is not there',
    env: { AWS_PROFILE: 'none', AWS_ACCESS_KEY_ID: null },
    exit: 6,
    code: 'refused',
    names: /no AWS credentials .*s3:\/\/secrets/,
  },
  {
    title: 'a wrong secret',
    env: { AWS_SECRET_ACCESS_KEY: 'wrong' },
    exit: 6,
    code: 'refused',
    names: /http.* secret key/,
  },
  {
    title: 'an unknown key',
    env: { AWS_ACCESS_KEY_ID: 'nobody' },
    exit: 6,
    code: 'refused',
    names: /http.* access key/,
  },
  { title: 'a region that is no name', env: { AWS_REGION: 'b d' }, exit: 2, code: 'invalid', names: /"b d"/ },
  {
    title: 'an endpoint that is no URL',
    env: { AWS_ENDPOINT_URL: 'localhost:9000' },
    exit: 2,
    code: 'invalid',
    names: /"localhost:9000"/,
  },
];

describe('sources that cannot be had, and credentials', { skip }, () => {
  let bed: S3Bed;

  before(async () => {
    assert.ok(versitygw.kind === 'ready');
    bed = await S3Bed.start('secrets', versitygw.what);
    for (let i = 0; i < 8; i += 1) await bed.put(`part/${i}`, seededBytes(i, 3000 + i));
    await bed.settle();
  });
  after(() => bed.stop());

  function environment(changed: Slip['env']): NodeJS.ProcessEnv {
    const env: NodeJS.ProcessEnv = { ...process.env, ...bed.env };
    for (const [name, value] of Object.entries(changed)) {
      if (value === null) delete env[name];
      else env[name] = value;
    }
    return env;
  }

  /** All of them use one directory, so that what one leaves behind is found. */
  async function up(sources: readonly string[], env: NodeJS.ProcessEnv): Promise<CommandResult> {
    const directory = join(bed.directory, 'up');
    await mkdir(directory, { recursive: true });
    const places = {
      MILLPOOL_SOCKET: join(directory, 'millpool.sock'),
      MILLPOOL_STATE_DIRECTORY: join(directory, 'state'),
    };
    const settings = { ...env, ...places };
    return runMillpool(['up', ...sources, '--data', join(directory, 'data'), '--json'], settings);
  }

  for (const { title, source, env, exit, code, names } of slips) {
    test(`up with ${title}: one error`, async () => {
      const result = await up([source ?? bed.source], environment(env));
      const error = errorOf(result);
      assert.deepEqual([result.code, error.code, result.stdout], [exit, code, ''], error.message);
      assert.match(error.message, names);
      assert.ok(!result.stderr.includes(bed.env['AWS_SECRET_ACCESS_KEY'] ?? '-'), 'the secret is in the output');
    });
  }

  test('up with one good source of two attaches neither, and nothing of all those starts stays', async () => {
    const result = await up([bed.source, 's3://nonesuch'], environment({}));
    assert.deepEqual([result.code, errorOf(result).code], [4, 'not-found']);
    const node = await bed.startNode({ directory: join(bed.directory, 'up'), sources: [] });
    assert.deepEqual(objectsOf(await node.run('attachments', '--json')), []);
    await node.stop();
  });

  test('attach that cannot be: one error with its exit code, and nothing is attached', async () => {
    const node = await bed.startNode({ sources: [] });
    const endpoint = `http://127.0.0.1:${await freePort()}`;
    const wrong: readonly (readonly [readonly string[], number, ErrorCode, RegExp])[] = [
      [['s3://nonesuch'], 4, 'not-found', /nonesuch/],
      [[bed.source, '--profile', 'none'], 2, 'invalid', /"none"/],
      [[bed.source, '--anonymous'], 6, 'refused', /s3:\/\/secrets/],
      [[bed.source, '--endpoint', endpoint], 1, 'source-unavailable', new RegExp(endpoint)],
      [[bed.source, '--endpoint', bed.proxy.endpoint.replace('http:', 'https:')], 1, 'source-unavailable', /TLS/],
    ];
    for (const [args, exit, code, names] of wrong) {
      const result = await node.run('attach', ...args, '--json');
      const error = errorOf(result);
      assert.deepEqual([result.code, error.code], [exit, code], `${args.join(' ')}: ${error.message}`);
      assert.match(error.message, names);
    }
    assert.deepEqual(objectsOf(await node.run('attachments', '--json')), []);
    await node.stop();
  });

  test('a profile that is put right is used by the next attach of the same daemon', async () => {
    const node = await bed.startNode({ sources: [], env: { AWS_ACCESS_KEY_ID: '', AWS_SECRET_ACCESS_KEY: '' } });
    await writeProfile('not-the-secret');
    const refused = await node.run('attach', bed.source, '--profile', 'work', '--json');
    assert.deepEqual([refused.code, errorOf(refused).code], [6, 'refused']);
    await writeProfile(bed.env['AWS_SECRET_ACCESS_KEY'] ?? '');
    objectsOf(await node.run('attach', bed.source, '--profile', 'work', '--json'));
    await node.stop();
  });

  async function writeProfile(secret: string): Promise<void> {
    const lines = [
      '[work]',
      `aws_access_key_id = ${bed.env['AWS_ACCESS_KEY_ID']}`,
      `aws_secret_access_key = ${secret}`,
    ];
    await writeFile(join(bed.directory, 'credentials'), `${lines.join('\n')}\n`);
  }

  test('a secret that becomes wrong: what is cached is read, the rest refused, and a new one is taken up', async () => {
    await writeProfile(bed.env['AWS_SECRET_ACCESS_KEY'] ?? '');
    const node = await bed.startNode({
      sources: [],
      env: { AWS_ACCESS_KEY_ID: '', AWS_SECRET_ACCESS_KEY: '', MILLPOOL_CREDENTIALS_REFRESH: '200ms' },
    });
    objectsOf(await node.run('attach', bed.source, '--profile', 'work', '--json'));
    const [cached = '', missing = '', ...others] = bed.paths;
    objectsOf(await node.run('load', cached, '--wait', '--json'));
    await using mill = await connect({ socket: node.socket });
    const data = await mill.dataset(bed.root);
    await bed.changeSecret('the-new-secret');

    assert.deepEqual(Buffer.from(await mill.read(cached)), bed.bytesOf(cached));
    await assert.rejects(mill.read(missing), {
      code: 'refused',
      path: missing,
      message: /s3:\/\/secrets\/part\/1/,
      remedy: /./,
    });
    using kept = await data.readMany([0, 1], { onError: 'keep' });
    assert.deepEqual(Buffer.from(kept.sample(0)), bed.bytesOf(cached));
    assert.equal(kept.error(1)?.code, 'refused');
    const result = await node.run('cat', missing, '--json');
    assert.deepEqual([result.code, errorOf(result).code], [6, 'refused']);

    await writeProfile('the-new-secret');
    let read: Uint8Array | null = null;
    for (let left = 100; left > 0 && read === null; left -= 1) {
      read = await mill.read(missing).catch(() => sleep(100, null));
    }
    assert.deepEqual(Buffer.from(read ?? []), bed.bytesOf(missing));
    for (const path of others) assert.deepEqual(Buffer.from(await mill.read(path)), bed.bytesOf(path));
    await node.stop();
  });
});
