// Node's ways to read many files: `node node-files.js METHOD FOLDER BYTES BATCH`; a line is the file of an order.
import { closeSync, openSync, readSync } from 'node:fs';
import { open, readFile } from 'node:fs/promises';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';

import { answerLaps, orderOf } from './lap-lines.ts';

const [method = '', folder = '', sizeText = '', batchText = ''] = process.argv.slice(2);
const [size, batch] = [Number(sizeText), Number(batchText)];
const promisesAtOnce = 16;
const filesPerFolder = 1000;

/** Samples of a batch, read into their places. */
type ReadBatch = (numbers: Uint32Array) => Promise<void>;

interface Share {
  readonly numbers: Uint32Array;
  readonly from: number;
  readonly to: number;
}

function pathOf(number: number): string {
  const part = String(Math.floor(number / filesPerFolder)).padStart(4, '0');
  return `${folder}/part-${part}/file-${String(number).padStart(7, '0')}.bin`;
}

function readShare(target: Uint8Array, { numbers, from, to }: Share): void {
  for (let i = from; i < to; i += 1) {
    const file = openSync(pathOf(numbers[i] ?? 0), 'r');
    if (readSync(file, target, i * size, size, 0) !== size) throw new Error(`${pathOf(i)} is short`);
    closeSync(file);
  }
}

function synchronous(): ReadBatch {
  const pooled = new Uint8Array(batch * size);
  return async (numbers) => readShare(pooled, { numbers, from: 0, to: numbers.length });
}

function promises(): ReadBatch {
  const pooled = new Uint8Array(batch * size);
  return async (numbers) => {
    let next = 0;
    const readOn = async (): Promise<void> => {
      for (let i = next++; i < numbers.length; i = next++) {
        const file = await open(pathOf(numbers[i] ?? 0));
        await file.read(pooled, i * size, size, 0);
        await file.close();
      }
    };
    await Promise.all(Array.from({ length: promisesAtOnce }, readOn));
  };
}

/** What most code does: each file in a buffer of its own. */
function readFiles(): ReadBatch {
  return async (numbers) => {
    await Promise.all(Array.from(numbers, (number) => readFile(pathOf(number))));
  };
}

/** Shared memory, so that nothing is handed over but numbers. */
function workers(count: number): ReadBatch {
  const memory = new SharedArrayBuffer(batch * size);
  const threads = Array.from({ length: count }, () => {
    const thread = new Worker(new URL(import.meta.url), { argv: process.argv.slice(2), workerData: memory });
    thread.unref();
    return thread;
  });
  return async (numbers) => {
    const share = Math.ceil(numbers.length / count);
    const reading = threads.map((thread, i) => {
      const [from, to] = [Math.min(i * share, numbers.length), Math.min((i + 1) * share, numbers.length)];
      thread.postMessage({ numbers, from, to } satisfies Share);
      return new Promise((resolve, reject) => thread.once('message', resolve).once('error', reject));
    });
    await Promise.all(reading);
    for (const thread of threads) thread.removeAllListeners('error');
  };
}

const methods: Readonly<Record<string, () => ReadBatch>> = {
  synchronous,
  promises,
  'read-files': readFiles,
  'two-workers': () => workers(2),
};

async function main(): Promise<void> {
  const readBatch = methods[method]?.();
  if (readBatch === undefined) throw new Error(`no method ${method}`);
  await answerLaps({
    prepare: async (line) => orderOf(await readFile(line)),
    async lap(order) {
      for (let at = 0; at < order.length; at += batch) await readBatch(order.slice(at, at + batch));
      return order.length;
    },
  });
}

if (isMainThread) await main();
else {
  const pooled = new Uint8Array(workerData as SharedArrayBuffer);
  parentPort?.on('message', (share: Share) => {
    readShare(pooled, share);
    parentPort?.postMessage(null);
  });
}
