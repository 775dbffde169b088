import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { after, before, test } from 'node:test';
import { Worker } from 'node:worker_threads';

import { TestEngine } from './testing/test-engine.ts';

const script = fileURLToPath(new URL('./testing/reader.js', import.meta.url));
let engine: TestEngine;
let reached: () => void = () => undefined;

before(async () => {
  engine = await TestEngine.start({
    async control(body, { signal }) {
      if (Buffer.from(body).toString() !== 'wait') return body;
      reached();
      await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
      return body;
    },
  });
});
after(() => engine.stop());

function worker(how: string): Worker {
  return new Worker(script, { argv: [engine.socket, how] });
}

test('the addon works in worker threads, several at once', async () => {
  const workers = Array.from({ length: 4 }, () => worker('read'));
  const codes = await Promise.all(workers.map((each) => once(each, 'exit')));
  assert.deepEqual(codes, [[0], [0], [0], [0]]);
});

test('a worker that is terminated with a call under way and a batch held takes nobody along', async () => {
  for (let round = 0; round < 3; round += 1) {
    const underWay = new Promise<void>((resolve) => (reached = resolve));
    const each = worker('hold');
    await underWay;
    await each.terminate();
  }
  using client = await engine.connect();
  assert.equal(Buffer.from(await client.control(Buffer.from('fine'), { timeoutMs: 10_000 })).toString(), 'fine');
});

for (const how of ['exit', 'return']) {
  test(`a process that ends by ${how}, with a batch held, ends cleanly`, async () => {
    const child = spawn(process.execPath, [script, engine.socket, how], { stdio: ['ignore', 'ignore', 'pipe'] });
    const text: string[] = [];
    child.stderr.on('data', (chunk: Buffer) => text.push(chunk.toString()));
    const ended = once(child, 'exit');
    const [code, signal] = (await ended) as [number | null, string | null];
    assert.deepEqual([code, signal], [0, null], text.join(''));
  });
}

test('an engine that nobody closed does not hold its process', async () => {
  const daemon = fileURLToPath(new URL('./testing/unclosed.js', import.meta.url));
  const child = spawn(process.execPath, [daemon], { stdio: ['ignore', 'ignore', 'pipe'] });
  const text: string[] = [];
  child.stderr.on('data', (chunk: Buffer) => text.push(chunk.toString()));
  const [code, signal] = (await once(child, 'exit')) as [number | null, string | null];
  assert.deepEqual([code, signal], [0, null], text.join(''));
});
