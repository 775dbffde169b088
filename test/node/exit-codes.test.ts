import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { after, before, test } from 'node:test';

import { errorOf } from '../harness/command-output.ts';
import { FolderNode } from '../harness/folder-node.ts';
import { millpoolMain, runMillpool } from '../harness/millpool-process.ts';

/** How a verb is asked so that it cannot be done; null where there is no such way. */
interface Ways {
  /** 2: words that it does not take. */
  readonly wrong: readonly string[];
  /** 4: a path that is nowhere. */
  readonly absent: readonly string[] | null;
  /** 5: what needs a daemon. */
  readonly alone: readonly string[] | null;
}

const nowhere = '/source/nowhere';
const version = '0123456789abcdef';

const ways: Readonly<Record<string, Ways>> = {
  up: { wrong: ['--policy', 'best'], absent: null, alone: null },
  down: { wrong: ['now'], absent: null, alone: [] },
  status: { wrong: ['all'], absent: null, alone: [] },
  top: { wrong: ['--delay', 'x'], absent: null, alone: [] },
  why: { wrong: [], absent: [nowhere], alone: ['/a'] },
  doctor: { wrong: ['me'], absent: null, alone: null },
  bench: { wrong: ['/a', '/b'], absent: [nowhere], alone: ['/a'] },
  support: { wrong: ['--output'], absent: null, alone: null },
  attach: { wrong: ['s3://b', '--freshness', 'soon'], absent: ['./nowhere-at-all'], alone: ['/tmp'] },
  detach: { wrong: [], absent: [nowhere], alone: ['/a'] },
  attachments: { wrong: ['all'], absent: null, alone: [] },
  ls: { wrong: ['--longest'], absent: [nowhere], alone: ['/'] },
  stat: { wrong: [], absent: [nowhere], alone: ['/a'] },
  find: { wrong: ['/', '--size', 'big'], absent: [nowhere], alone: ['/'] },
  du: { wrong: ['--depth', 'x', '/'], absent: [nowhere], alone: ['/'] },
  cat: { wrong: [], absent: [nowhere], alone: ['/a'] },
  cp: { wrong: ['/a'], absent: [nowhere, '.'], alone: ['/a', '.'] },
  load: { wrong: ['--wait'], absent: [nowhere, '--wait'], alone: ['/a'] },
  'jobs ls': { wrong: ['--every'], absent: null, alone: [] },
  'jobs show': { wrong: ['x'], absent: ['999'], alone: ['1'] },
  'jobs cancel': { wrong: [], absent: ['999'], alone: ['1'] },
  check: { wrong: ['/a', '/b'], absent: [nowhere], alone: ['/a'] },
  free: { wrong: [], absent: [nowhere], alone: ['/a'] },
  pin: { wrong: [], absent: [nowhere], alone: ['/a'] },
  unpin: { wrong: [], absent: [nowhere], alone: ['/a'] },
  'dataset snapshot': { wrong: [], absent: [nowhere], alone: ['/a'] },
  'dataset ls': { wrong: ['--long'], absent: null, alone: [] },
  'dataset diff': { wrong: [version], absent: [version, version], alone: [version, version] },
  'dataset free': { wrong: ['xyz'], absent: [version], alone: [version] },
  metadata: { wrong: ['--state', '/tmp/x', 'now'], absent: null, alone: null },
  cache: { wrong: ['--sizes'], absent: null, alone: null },
  'admin nodes': { wrong: ['all'], absent: null, alone: [] },
  'admin shards ls': { wrong: ['--every'], absent: null, alone: [] },
  'admin shards show': { wrong: ['1024'], absent: null, alone: ['1'] },
  'admin shards map': { wrong: ['all'], absent: null, alone: [] },
  'admin shards move': { wrong: ['5-1', '--to', 'a'], absent: null, alone: ['1', '--to', 'a'] },
  'admin rebalance plan': { wrong: ['now'], absent: null, alone: [] },
  'admin rebalance run': { wrong: ['--at-once', '0'], absent: null, alone: [] },
  'admin rebalance status': { wrong: ['now'], absent: null, alone: [] },
  'admin rebalance pause': { wrong: ['now'], absent: null, alone: [] },
  'admin rebalance resume': { wrong: ['now'], absent: null, alone: [] },
  'admin rebalance cancel': { wrong: ['now'], absent: null, alone: [] },
  'admin dirs ls': { wrong: ['--limit', '0'], absent: null, alone: [] },
  'admin dirs show': { wrong: [], absent: null, alone: ['/a'] },
  'admin dirs publish': { wrong: [], absent: null, alone: ['/a'] },
  'admin dirs split': { wrong: ['/a', '--parts', '6'], absent: null, alone: ['/a'] },
  'admin dirs merge': { wrong: [], absent: null, alone: ['/a'] },
  'admin dirs auto': { wrong: [], absent: null, alone: ['/a'] },
  'admin map export': { wrong: ['a', 'b'], absent: null, alone: ['-'] },
  'admin map verify': { wrong: ['a', 'b'], absent: null, alone: [] },
  'admin map restore': { wrong: [], absent: null, alone: null },
  'admin drain': { wrong: [], absent: null, alone: ['a'] },
  'admin undrain': { wrong: [], absent: null, alone: ['a'] },
  config: { wrong: ['all'], absent: null, alone: null },
  completion: { wrong: ['tcsh'], absent: null, alone: null },
  purge: { wrong: ['/source'], absent: null, alone: null },
};

let node: FolderNode;

before(async () => {
  node = await FolderNode.start('exits', { files: 3, seed: 2, bytesMin: 10, bytesMax: 20 });
});
after(() => node.stop());

/** Verbs as the help of a command lists them. */
async function listed(...names: readonly string[]): Promise<readonly string[]> {
  const { stdout } = await runMillpool([...names, '--help'], process.env);
  const [, commands = ''] = stdout.split('\nCommands:\n');
  return Array.from((commands.split('\n\n')[0] ?? '').matchAll(/^ {2}([a-z]+)\b/gm), ([, name = '']) => name).filter(
    (name) => name !== 'help',
  );
}

/** What holds for every verb that is asked in one of the ways: that exit code, and one error with a remedy. */
async function held(way: keyof Ways, code: number, env: NodeJS.ProcessEnv): Promise<void> {
  for (const [verb, { [way]: words }] of Object.entries(ways)) {
    if (words === null) continue;
    const asked = [...verb.split(' '), ...words, '--json'];
    const result = await runMillpool(asked, { ...env, MILLPOOL_DATA: join(node.directory, 'other') });
    assert.equal(result.code, code, `${asked.join(' ')}: ${result.stderr}`);
    errorOf(result);
  }
}

test('every verb has its ways to fail here', async () => {
  const groups = ['dataset', 'jobs', 'admin', 'admin shards', 'admin rebalance', 'admin dirs', 'admin map'];
  const below = groups.map(async (group) => (await listed(...group.split(' '))).map((name) => `${group} ${name}`));
  const all = [...(await listed()), ...(await Promise.all(below)).flat()];
  const verbs = all.filter((name) => !groups.includes(name));
  assert.deepEqual(Object.keys(ways).sort(), verbs.sort());
});

test('2: every verb refuses words that it does not take', () =>
  held('wrong', 2, { ...process.env, MILLPOOL_SOCKET: node.socket }));

test('4: every verb that takes a path says that it is nowhere', () =>
  held('absent', 4, { ...process.env, MILLPOOL_SOCKET: node.socket }));

test('5: every verb that needs a daemon says that there is none', () =>
  held('alone', 5, { ...process.env, MILLPOOL_SOCKET: join(node.directory, 'none.sock') }));

test('1: a daemon that is of no cluster says so to an operator', async () => {
  const env = { ...process.env, MILLPOOL_SOCKET: node.socket };
  const result = await runMillpool(['admin', 'nodes', '--json'], env);
  assert.equal(result.code, 1);
  assert.match(errorOf(result).message, /is of no cluster/);
});

test('130: what is interrupted says so', async () => {
  const env = { ...process.env, MILLPOOL_SOCKET: node.socket };
  const child = spawn(process.execPath, [millpoolMain, 'top', '--json', '--delay', '1'], { env, stdio: 'pipe' });
  await once(child.stdout, 'data');
  child.kill('SIGINT');
  await once(child, 'exit');
  assert.equal(child.exitCode, 130);
});
