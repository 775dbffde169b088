import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { open, readdir, stat, truncate } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { after, before, test } from 'node:test';
import type { TestContext } from 'node:test';

import { FolderNode } from '../harness/folder-node.ts';
import { objectsOf } from '../harness/command-output.ts';

const files = 500;
let node: FolderNode;

before(async () => {
  node = await FolderNode.start('mapped', { files, seed: 91, bytesMin: 1, bytesMax: 40_000 });
  objectsOf(await node.run('load', node.root, '--wait', '--json'));
});
after(() => node.stop());

/** What the reading process says of one time through all samples. */
interface Round {
  readonly right: number;
  readonly wrong: number;
  readonly failed: number;
}

/** Reads all samples again and again, compares each with the file of the source, and says a line a round. */
const readerScript = `
  import { readFileSync } from 'node:fs';
  import { connect } from '@millpool/client';
  const [socket, source] = process.argv.slice(1);
  const mill = await connect({ socket });
  const data = await mill.dataset('/source');
  const held = await data.readMany([0, 1, 2]);
  for (;;) {
    const round = { right: 0, wrong: 0, failed: 0 };
    for await (const batch of data.loader({ batchSize: 64, shuffle: true, onError: 'keep', hints: 'off' })) {
      for (let i = 0; i < batch.length; i += 1) {
        if (batch.error(i) !== undefined) round.failed += 1;
        else if (readFileSync(source + batch.path(i).slice('/source'.length)).equals(batch.sample(i))) round.right += 1;
        else round.wrong += 1;
      }
      batch.release();
    }
    process.stdout.write(JSON.stringify(round) + '\\n');
  }
`;

class Reader {
  readonly #child: ChildProcess;
  readonly #rounds: AsyncIterator<string>;

  constructor(t: TestContext) {
    const args = ['--input-type=module', '-e', readerScript, node.socket, node.source];
    this.#child = spawn(process.execPath, args, { cwd: import.meta.dirname, stdio: ['ignore', 'pipe', 'inherit'] });
    t.after(() => this.#child.kill('SIGKILL'));
    assert.ok(this.#child.stdout !== null);
    this.#rounds = createInterface(this.#child.stdout)[Symbol.asyncIterator]();
  }

  async round(): Promise<Round> {
    const { value, done } = await this.#rounds.next();
    assert.ok(done !== true, `the reader ended: ${String(this.#child.exitCode ?? this.#child.signalCode)}`);
    return JSON.parse(value) as Round;
  }

  /** Segments that it has mapped. */
  async mapped(): Promise<number> {
    const file = await open(`/proc/${this.#child.pid}/maps`);
    try {
      return (await file.readFile('utf8')).split('\n').filter((line) => /segments\/[0-9a-f]+\./.test(line)).length;
    } finally {
      await file.close();
    }
  }

  async kill(): Promise<void> {
    const exit = once(this.#child, 'exit');
    this.#child.kill('SIGKILL');
    await exit;
    assert.equal(this.#child.signalCode, 'SIGKILL', 'it lived until now');
  }
}

async function segmentPaths(): Promise<string[]> {
  const directory = join(node.node.dataDirectory, 'segments');
  return (await readdir(directory)).map((name) => join(directory, name));
}

test('a mapped segment is truncated under a process that reads it: right samples, and the process lives', async (t) => {
  const reader = new Reader(t);
  const whole = { right: files, wrong: 0, failed: 0 };
  assert.deepEqual(await reader.round(), whole);
  assert.ok((await reader.mapped()) > 0, 'it reads by mapping');
  for (const share of [0.5, 0]) {
    const segments = await segmentPaths();
    for (const path of segments) {
      const { size } = await stat(path);
      await truncate(path, Math.floor(size * share));
      assert.ok((await stat(path)).size <= size * share);
    }
    // The round that the truncation falls into, and whole ones after it.
    for (let round = 0; round < 4; round += 1) {
      const { right, wrong, failed } = await reader.round();
      assert.deepEqual([wrong, right + failed], [0, files]);
    }
    assert.deepEqual(await reader.round(), whole);
  }
  await reader.kill();
});

test('processes that are killed while they hold batches and mappings leave nothing open in the daemon', async (t) => {
  const openNow = async (): Promise<number> => (await node.node.descriptors()).size;
  const first = new Reader(t);
  await first.round();
  await first.kill();
  const earlier = await settled(openNow);
  for (let round = 0; round < 4; round += 1) {
    const readers = Array.from({ length: 4 }, () => new Reader(t));
    await Promise.all(readers.map((reader) => reader.round()));
    assert.ok((await openNow()) >= earlier + readers.length, 'each of them holds a connection');
    await Promise.all(readers.map((reader) => reader.kill()));
  }
  assert.ok((await settled(openNow)) <= earlier);
});

/** The least that a count is seen to come down to, once it has stayed there for a second. */
async function settled(count: () => Promise<number>): Promise<number> {
  let least = await count();
  for (let same = 0; same < 10; same += 1) {
    await new Promise((resolve) => setTimeout(resolve, 100));
    const now = await count();
    if (now < least) [least, same] = [now, 0];
  }
  return least;
}
