import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdir, rename, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import type { TestContext } from 'node:test';

import { linesOf } from '../harness/command-output.ts';
import { FolderNode } from '../harness/folder-node.ts';
import { millpoolMain, runMillpool } from '../harness/millpool-process.ts';
import type { CommandResult } from '../harness/millpool-process.ts';
import { clearAwsEnvironment } from '../harness/s3-server.ts';
import { temporaryFolder } from '../harness/temporary-folder.ts';
import type { TemporaryFolder } from '../harness/temporary-folder.ts';

interface Check {
  readonly name: string;
  readonly level: 'ok' | 'warn' | 'fail';
  readonly sentence: string;
  readonly remedy: string;
}

let folder: TemporaryFolder;
let base: Record<string, string>;

before(async () => {
  folder = await temporaryFolder('doctor');
  clearAwsEnvironment(folder.path);
  for (const name of Object.keys(process.env)) {
    if (/^(MILLPOOL_|NODE_OPTIONS|NODE_TLS|.*_proxy$)/i.test(name)) delete process.env[name];
  }
  base = {
    ...(process.env as Record<string, string>),
    MILLPOOL_SOCKET: join(folder.path, 'none.sock'),
    MILLPOOL_DATA: join(folder.path, 'data'),
  };
});
after(() => folder.remove());

/** What it says, held to what each check promises. */
function checksOf({ stdout, stderr, code }: CommandResult): Map<string, Check> {
  const checks = linesOf(stdout).map((line) => JSON.parse(line) as Check);
  assert.ok(checks.length > 0, stderr);
  for (const { sentence, remedy, level } of checks) {
    assert.match(sentence, /^\S.*\.$/, 'a sentence');
    assert.equal(remedy === '', level === 'ok', `a remedy where it is needed: ${sentence}`);
  }
  assert.equal(code, checks.some(({ level }) => level === 'fail') ? 1 : 0);
  return new Map(checks.map((check) => [check.name, check]));
}

async function doctor(env: Record<string, string> = {}): Promise<Map<string, Check>> {
  return checksOf(await runMillpool(['doctor', '--json'], { ...base, ...env }));
}

/** The same, started by a program that makes it worse. */
function doctorUnder(program: string, ...args: readonly string[]): Map<string, Check> {
  const all = [...args, process.execPath, millpoolMain, 'doctor', '--json'];
  const { stdout, stderr, status } = spawnSync(program, all, { env: base, encoding: 'utf8' });
  return checksOf({ stdout, stderr, code: status });
}

function assertCheck(checks: Map<string, Check>, name: string, level: Check['level'], says: RegExp): void {
  const check = checks.get(name);
  assert.ok(check !== undefined, `${name} is among ${[...checks.keys()].join(', ')}`);
  assert.equal(check.level, level, check.sentence);
  assert.match(check.sentence, says);
}

test('without a daemon and with nothing in the way: all is told, and nothing fails', async () => {
  const checks = await doctor();
  assertCheck(checks, 'daemon', 'ok', /None runs here/);
  assertCheck(checks, 'environment', 'ok', /No variable/);
  assertCheck(checks, 'AWS credentials', 'ok', /none are needed/);
  for (const name of ['kernel', 'io_uring', 'fuse', 'huge pages', 'open files', 'processes', 'memory']) {
    assert.ok(checks.has(name), name);
  }
  assertCheck(checks, `room ${folder.path}/data`, 'ok', /are free/);
  const text = await runMillpool(['doctor'], base);
  assert.match(text.stdout, /^ok {4}kernel: Linux /m);
});

describe('variables of others', () => {
  test('certificate authorities that are not there, may not be read, or are none', async () => {
    const empty = join(folder.path, 'empty.pem');
    await writeFile(empty, 'no certificate');
    const checks = await doctor({
      AWS_CA_BUNDLE: join(folder.path, 'absent.pem'),
      SSL_CERT_FILE: empty,
      NODE_EXTRA_CA_CERTS: folder.path,
    });
    assertCheck(checks, 'AWS_CA_BUNDLE', 'fail', /absent\.pem is not there/);
    assertCheck(checks, 'SSL_CERT_FILE', 'fail', /no certificate in PEM/);
    assertCheck(checks, 'NODE_EXTRA_CA_CERTS', 'fail', /cannot be read/);
  });

  test('NODE_TLS_REJECT_UNAUTHORIZED, NODE_OPTIONS, and a setting that is none', async () => {
    const checks = await doctor({
      NODE_TLS_REJECT_UNAUTHORIZED: '0',
      NODE_OPTIONS: '--max-old-space-size=4000',
      MILLPOOL_SOKET: '/x',
    });
    assertCheck(checks, 'NODE_TLS_REJECT_UNAUTHORIZED', 'fail', /trust whoever answers/);
    assertCheck(checks, 'NODE_OPTIONS', 'warn', /max-old-space-size/);
    assertCheck(checks, 'MILLPOOL_SOKET', 'warn', /no such setting/);
  });

  test('a proxy that catches the endpoint, or not; its password is not shown', async () => {
    const endpoint = { AWS_ENDPOINT_URL: 'http://127.0.0.1:1', HTTPS_PROXY: 'http://user:planted@proxy:3128' };
    const caught = await doctor(endpoint);
    assertCheck(caught, 'HTTPS_PROXY', 'warn', /asks 127\.0\.0\.1 directly/);
    assert.doesNotMatch(caught.get('HTTPS_PROXY')?.sentence ?? '', /planted/);
    const passed = await doctor({ ...endpoint, NO_PROXY: 'localhost, 127.0.0.1' });
    assertCheck(passed, 'HTTPS_PROXY', 'ok', /NO_PROXY/);
  });

  test('an endpoint that is none, one that does not answer, a profile that is not there', async () => {
    for (const [odd, says] of [
      ['localhost:9000', /no http:\/\/ or https:\/\/ URL/],
      ['http://host/bucket', /more than a host/],
    ] as const) {
      assertCheck(await doctor({ AWS_ENDPOINT_URL: odd }), 'AWS settings', 'fail', says);
    }
    const silent = await doctor({ AWS_ENDPOINT_URL: 'http://127.0.0.1:1' });
    assertCheck(silent, 'source http://127.0.0.1:1', 'fail', /does not answer: .*ECONNREFUSED/);
    assertCheck(await doctor({ AWS_PROFILE: 'absent' }), 'AWS settings', 'fail', /no AWS profile "absent"/);
  });

  test('credentials that are half, over, or there; no secret is shown', async () => {
    const key = { AWS_ACCESS_KEY_ID: 'AKIAPLANTEDPLANTED00' };
    assertCheck(await doctor(key), 'AWS credentials', 'fail', /AWS_SECRET_ACCESS_KEY is not/);
    const whole = { ...key, AWS_SECRET_ACCESS_KEY: 'planted-secret' };
    const found = await runMillpool(['doctor', '--json'], { ...base, ...whole });
    assertCheck(checksOf(found), 'AWS credentials', 'ok', /without an end/);
    assert.doesNotMatch(found.stdout + found.stderr, /planted/i);
    const over = await doctor({ ...whole, AWS_CREDENTIAL_EXPIRATION: '2020-01-01T00:00:00Z' });
    assertCheck(over, 'AWS credentials', 'fail', /ended at 2020-01-01/);
  });
});

test('a source whose clock is another: a little, too much, and like ours', async (t) => {
  for (const [apartMs, level, says] of [
    [0, 'ok', /agrees/],
    [-60_000, 'warn', /(59|60|61) s apart/],
    [3_600_000, 'fail', /signatures are refused/],
  ] as const) {
    const server = createServer((_, response) => {
      response.sendDate = false;
      response.writeHead(403, { date: new Date(Date.now() + apartMs).toUTCString() }).end();
    });
    const endpoint = await listening(server, t);
    assertCheck(await doctor({ AWS_ENDPOINT_URL: endpoint }), `source ${endpoint}`, level, says);
  }
});

async function listening(server: Server, t: TestContext): Promise<string> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => server.close());
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

describe('what the machine forbids', () => {
  test('few open files, few processes, a small address space', () => {
    assertCheck(doctorUnder('prlimit', '--nofile=200:200'), 'open files', 'fail', /At most 200 files/);
    assertCheck(doctorUnder('prlimit', '--nproc=900:900'), 'processes', 'warn', /At most 900 processes/);
    const limit = 64 * 2 ** 30;
    assertCheck(doctorUnder('prlimit', `--as=${limit}:${limit}`), 'address space', 'fail', /limited to 64GiB/);
  });

  test('io_uring under a seccomp filter', (t) => {
    if (spawnSync('python3', ['-c', '']).status !== 0) return t.skip('there is no python3 to set a filter');
    assertCheck(doctorUnder('python3', '-c', forbidIoUring), 'io_uring', 'warn', /cannot be used \(.*not permitted/);
  });

  test('no /dev/fuse, a small /dev/shm, a data directory on tmpfs', (t) => {
    const data = join(folder.path, 'data');
    const within = (...mounts: readonly string[]): readonly string[] => [
      '--mount',
      'sh',
      '-c',
      `${mounts.join(' && ')} && exec "$@"`,
      'sh',
    ];
    if (spawnSync('unshare', [...within('mount -t tmpfs none /mnt'), 'true']).status !== 0) {
      return t.skip('mount namespaces need root');
    }
    execFileSync('mkdir', ['-p', data]);
    const worse = doctorUnder(
      'unshare',
      ...within(
        `touch ${folder.path}/plain`,
        `mount --bind ${folder.path}/plain /dev/fuse`,
        'mount -t tmpfs -o size=1m none /dev/shm',
        `mount -t tmpfs -o size=200m none ${data}`,
      ),
    );
    assertCheck(worse, 'fuse', 'warn', /no \/dev\/fuse/);
    assertCheck(worse, 'shared memory', 'warn', /has 1MiB free/);
    assertCheck(worse, `file system ${data}`, 'warn', /tmpfs: it is memory/);
    const full = doctorUnder('unshare', ...within(`mount -t tmpfs -o size=8m none ${data}`));
    assertCheck(full, `room ${data}`, 'fail', /8MiB of 8MiB are free/);
    const readOnly = doctorUnder('unshare', ...within(`mount -t tmpfs -o ro none ${data}`));
    assertCheck(readOnly, `data ${data}`, 'fail', /read-only/);
  });

  test('a data directory that is a file, and one of somebody else', async (t) => {
    const file = join(folder.path, 'a-file');
    await writeFile(file, '');
    assertCheck(await doctor({ MILLPOOL_DATA: file }), `data ${file}`, 'fail', /no directory/);
    if (process.getuid?.() !== 0) return t.skip('another user is needed');
    const closed = join(folder.path, 'private');
    await mkdir(closed, { mode: 0o700 });
    await chmod(folder.path, 0o755);
    const other = checksOf(
      await runMillpool(
        ['doctor', '--json'],
        { ...base, MILLPOOL_DATA: closed, HOME: folder.path },
        { uid: 65_534, gid: 65_534 },
      ),
    );
    assertCheck(other, `data ${closed}`, 'fail', /permission denied/);
    assertCheck(other, 'fuse', 'warn', /may not be opened|no \/dev\/fuse/);
  });
});

test('with a daemon: its devices, its sources, and one that is away', async (t) => {
  const node = await FolderNode.start('doctor', { files: 5, seed: 1, bytesMin: 10, bytesMax: 20 });
  t.after(() => node.stop());
  const well = checksOf(await node.run('doctor', '--json'));
  assertCheck(well, 'daemon', 'ok', new RegExp(`pid ${node.node.pid}`));
  assertCheck(well, `attachment ${node.root}`, 'ok', /can be read/);
  assert.ok(well.has(`O_DIRECT ${node.node.dataDirectory}`));
  const hidden = `${node.source}-hidden`;
  await node.restart('SIGINT', [], () => rename(node.source, hidden));
  assertCheck(checksOf(await node.run('doctor', '--json')), `attachment ${node.root}`, 'fail', /is away: /);
  await rename(hidden, node.source);
});

/** Runs what follows it with `io_uring_setup` forbidden, as the default profile of a container runtime does. */
const forbidIoUring = `
import ctypes, os, struct, sys
libc = ctypes.CDLL(None, use_errno=True)
# Load the number of the call; 425 is io_uring_setup on every architecture; EPERM for it, else allow.
code = [(0x20, 0, 0, 0), (0x15, 0, 1, 425), (0x06, 0, 0, 0x00050001), (0x06, 0, 0, 0x7fff0000)]
text = b''.join(struct.pack('HBBI', *line) for line in code)
buffer = ctypes.create_string_buffer(text)
class Program(ctypes.Structure):
    _fields_ = [('len', ctypes.c_ushort), ('filter', ctypes.c_void_p)]
program = Program(len(code), ctypes.cast(buffer, ctypes.c_void_p))
assert libc.prctl(38, 1, 0, 0, 0) == 0
assert libc.prctl(22, 2, ctypes.byref(program), 0, 0) == 0, os.strerror(ctypes.get_errno())
os.execv(sys.argv[1], sys.argv[1:])
`;
