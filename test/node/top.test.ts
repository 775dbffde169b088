import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';

import { connect } from '@millpool/client';

import { objectsOf } from '../harness/command-output.ts';
import { FolderNode } from '../harness/folder-node.ts';
import { millpoolMain } from '../harness/millpool-process.ts';

const patienceMs = 60_000;

interface Reading {
  readonly samplesPerSecond: number;
  readonly bytesPerSecond: number;
  readonly hitRatio: number | null;
  readonly devices: readonly { readonly state: string }[];
  readonly loaders: readonly {
    readonly path: string;
    readonly pid: number;
    readonly program: string;
    readonly epoch: number;
    readonly samples: number;
    readonly position: number;
  }[];
  readonly readers: readonly { readonly pid: number; readonly samples: number }[];
}

let node: FolderNode;

before(async () => {
  node = await FolderNode.start('top', { files: 60, seed: 3, bytesMin: 5_000, bytesMax: 9_000 });
});
after(() => node.stop());

/** Epoch after epoch, until it is told to stop. */
async function loop(signal: AbortSignal): Promise<void> {
  const mill = await connect({ socket: node.socket });
  try {
    const data = await mill.dataset(node.root);
    const loader = data.loader({ batchSize: 5, shuffle: true, seed: 1 });
    while (!signal.aborted) {
      for await (using batch of loader) {
        assert.ok(batch.length > 0);
        await sleep(20);
        if (signal.aborted) break;
      }
    }
  } finally {
    await mill.close();
  }
}

test('top tells who is loading what, and how fast', async () => {
  const stop = new AbortController();
  const looping = loop(stop.signal);
  try {
    for (const deadline = Date.now() + patienceMs; ;) {
      const [reading] = objectsOf<Reading>(await node.run('top', '--once', '--delay', '0.5', '--json'));
      assert.ok(reading !== undefined);
      const [loader] = reading.loaders;
      if (loader !== undefined && loader.epoch > 0 && reading.samplesPerSecond > 0) {
        assert.deepEqual([loader.path, loader.pid, loader.samples], [node.root, process.pid, 60]);
        assert.match(loader.program, /node/);
        assert.ok(loader.position >= 0 && loader.position <= 60);
        assert.ok(reading.bytesPerSecond > 0);
        assert.equal(reading.hitRatio, 1, 'after the first epoch all is here');
        assert.equal(reading.readers[0]?.pid, process.pid);
        assert.equal(reading.devices[0]?.state, 'ok');
        break;
      }
      assert.ok(Date.now() < deadline, `a loader is seen: ${JSON.stringify(reading)}`);
    }
    const text = await node.run('top', '-n', '2', '-d', '0.2');
    assert.equal(text.code, 0, text.stderr);
    const lines = text.stdout.trimEnd().split('\n');
    assert.equal(lines.length, 2);
    for (const line of lines) assert.match(line, /samples\/s {2}read .*\/s {2}source .* loaders 1 /);
  } finally {
    stop.abort();
    await looping;
  }
});

test('waits of loops come to the daemon, by cause', async () => {
  await node.run('free', node.root);
  const stop = new AbortController();
  const looping = loop(stop.signal);
  try {
    // At the end of an epoch at the latest, a loop tells what it waited for.
    for (const deadline = Date.now() + patienceMs; ; await sleep(200)) {
      const metrics = objectsOf<Reading & { waitSecondsPerSecond: Record<string, number> }>(
        await node.run('top', '--once', '-d', '0.5', '--json'),
      );
      const waits = Object.values(metrics[0]?.waitSecondsPerSecond ?? {});
      assert.equal(waits.length, 7);
      if (waits.some((seconds) => seconds > 0)) break;
      assert.ok(Date.now() < deadline, 'some wait is told');
    }
  } finally {
    stop.abort();
    await looping;
  }
});

test('on a terminal it draws over a screen of its own, and q gives the old one back', async (t) => {
  if (spawnSync('script', ['--version']).status !== 0) return t.skip('there is no script(1) to make a terminal');
  const command = `stty rows 20 cols 70; exec ${process.execPath} ${millpoolMain} top -d 0.2`;
  const child = spawn('script', ['-qfec', command, '/dev/null'], {
    env: { ...process.env, MILLPOOL_SOCKET: node.socket, LANG: 'C.UTF-8', TERM: 'xterm-256color' },
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  let text = '';
  let isAsked = false;
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
    text += chunk;
    // More of a frame may come after it was asked, and nobody reads a second `q`.
    if (isAsked || [...text.matchAll(/DEVICES/g)].length < 3) return;
    isAsked = true;
    child.stdin.write('q');
  });
  const late = setTimeout(() => child.kill(), patienceMs);
  await once(child, 'close');
  clearTimeout(late);
  assert.equal(child.exitCode, 0);
  assert.ok(text.includes('\u001b[?1049h'), 'a screen of its own');
  assert.ok(text.includes('\u001b[?25h\u001b[?1049l'), 'the old one comes back');
  assert.ok(!text.includes('\u001b[2J'), 'nothing is cleared between frames');
});

test('a delay or a count that is none is wrong usage; without a daemon it is not reachable', async () => {
  for (const args of [
    ['-n', '0'],
    ['-d', 'x'],
  ]) {
    assert.equal((await node.run('top', ...args)).code, 2);
  }
  assert.equal((await node.run('top', '--once', '--socket', '/nowhere/sock')).code, 5);
});
