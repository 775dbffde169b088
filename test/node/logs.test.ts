import assert from 'node:assert/strict';
import { readFile, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';

import { MillpoolNode } from '../harness/millpool-process.ts';
import { temporaryFolder } from '../harness/temporary-folder.ts';

const patienceMs = 60_000;

async function folder(t: TestContext, name: string): Promise<string> {
  const { path, remove } = await temporaryFolder(name);
  t.after(remove);
  return path;
}

/** A daemon that logs as `env` says, over nothing; `attach` makes it write a line. */
async function logging(t: TestContext, name: string, env: Readonly<Record<string, string>>): Promise<MillpoolNode> {
  const path = await folder(t, name);
  const node = await MillpoolNode.start({ directory: path, env: { MILLPOOL_LOG_FORMAT: 'json', ...env } });
  t.after(() => node.stop());
  return node;
}

async function attach(t: TestContext, node: MillpoolNode, name: string): Promise<void> {
  const path = await folder(t, name);
  const { code, stderr } = await node.run('attach', path, '--at', `/${name}`);
  assert.equal(code, 0, stderr);
}

/** The lines of a log of JSON; as soon as it tells of `event`. */
async function toldOf(event: string, read: () => Promise<string>): Promise<readonly Record<string, unknown>[]> {
  for (const deadline = Date.now() + patienceMs; ; await sleep(50)) {
    const lines = (await read()).split('\n').filter((line) => line !== '');
    const events = lines.map((line) => JSON.parse(line) as Record<string, unknown>);
    if (events.some((each) => each['event'] === event)) return events;
    assert.ok(Date.now() < deadline, `the log tells of no ${event}: ${lines.join(' ')}`);
  }
}

test('a log file that is moved away is made again, and a hangup ends no daemon', async (t) => {
  const path = await folder(t, 'logs');
  const file = join(path, 'millpool.log');
  const node = await logging(t, 'logs-rotated', { MILLPOOL_LOG_FILE: file });
  await attach(t, node, 'one');
  await rename(file, `${file}.1`);
  node.hangUp();
  const events = await toldOf('hangup passed over', () => readFile(file, 'utf8').catch(() => ''));
  assert.ok(events.every(({ time, level }) => !Number.isNaN(Date.parse(String(time))) && level !== undefined));
  await attach(t, node, 'two');
  const [before, after] = [await readFile(`${file}.1`, 'utf8'), await readFile(file, 'utf8')];
  assert.match(before, /"\/one"/);
  assert.match(after, /"\/two"/);
  assert.equal(node.stderr, '');
});

test('a log file that cannot be written is refused at the start, and nothing is made', async (t) => {
  const path = await folder(t, 'logs');
  const file = join(path, 'nowhere', 'millpool.log');
  const started = MillpoolNode.start({ directory: join(path, 'node'), env: { MILLPOOL_LOG_FILE: file } });
  await assert.rejects(started, ({ message }: Error) => {
    assert.match(message, /ended with 2 .*nowhere\/millpool\.log cannot be written.*MILLPOOL_LOG_FILE/s);
    return true;
  });
  await assert.rejects(readFile(join(path, 'node', 'data')), { code: 'ENOENT' });
});

test('a daemon whose log cannot be written any more goes on', async (t) => {
  const node = await logging(t, 'logs-full', { MILLPOOL_LOG_FILE: '/dev/full' });
  await attach(t, node, 'one');
  await toldOf('attachment made', async () => node.stderr);
  node.closeStderr();
  await attach(t, node, 'two');
  await attach(t, node, 'three');
  assert.equal((await node.run('status')).code, 0);
  assert.equal(node.ended, null);
});
