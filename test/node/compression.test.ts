import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';

import lz4 from 'lz4js';
import { connect } from '@millpool/client';
import type { Mill } from '@millpool/client';
import type { Compression, Status, WhyReply } from '@millpool/protocol';

import { objectsOf } from '../harness/command-output.ts';
import { MillpoolNode } from '../harness/millpool-process.ts';
import { seededBytes } from '../harness/seeded-random.ts';
import { temporaryFolder } from '../harness/temporary-folder.ts';

const miB = 2 ** 20;
const fileBytes = miB / 4;
const files = 384;
const datasetBytes = files * fileBytes;
/** Two thirds of a dataset. */
const size = '64MiB';
const settleMs = 2100;

/** Lines as annotations have them: they shrink to about a third. */
function text(seed: number): Buffer {
  const noise = seededBytes(seed, fileBytes / 16);
  const lines = Array.from({ length: noise.length / 4 }, (_, i) => {
    const [a, b] = [noise.readUInt16LE(4 * i), noise.readUInt16LE(4 * i + 2)];
    return `{"image": ${seed}, "class": "${a % 80}", "box": [${a}, ${b}, 640, 480], "crowd": false}\n`;
  });
  return Buffer.from(lines.join('')).subarray(0, fileBytes);
}

const folder = await temporaryFolder('compression');
after(() => folder.remove());
for (const [name, content] of Object.entries({ text, noise: (seed: number) => seededBytes(seed, fileBytes) })) {
  await mkdir(join(folder.path, name));
  for (let i = 0; i < files; i += 1) await writeFile(join(folder.path, name, `file-${i}`), content(i));
}
await sleep(settleMs);

class Cache implements AsyncDisposable {
  readonly node: MillpoolNode;
  readonly mill: Mill;

  private constructor(node: MillpoolNode, mill: Mill) {
    this.node = node;
    this.mill = mill;
  }

  static async start(compression: Compression, name: 'text' | 'noise'): Promise<Cache> {
    const directory = join(folder.path, `${name}-${compression}`);
    await mkdir(directory);
    const args = ['--size', size, '--compression', compression];
    const node = await MillpoolNode.start({ directory, sources: [join(folder.path, name)], args });
    return new Cache(node, await connect({ socket: node.socket }));
  }

  /** Reads the dataset once, every byte held against the source; says how many came from it. */
  async epoch(path: string, epoch: number): Promise<number> {
    const before = await this.status();
    const data = await this.mill.dataset(path);
    const content = path === '/text' ? text : (seed: number): Buffer => seededBytes(seed, fileBytes);
    for await (using batch of data.loader({ batchSize: 16, shuffle: true, seed: 1, epoch })) {
      for (let i = 0; i < batch.length; i += 1) {
        assert.ok(Buffer.from(batch.sample(i)).equals(content(Number(batch.path(i).split('-').at(-1)))), batch.path(i));
      }
    }
    return (await this.status()).cache.sourceBytes - before.cache.sourceBytes;
  }

  async status(): Promise<Status> {
    const [status] = objectsOf<Status>(await this.node.run('status', '--json'));
    assert.ok(status !== undefined);
    return status;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.mill.close();
    await this.node.stop();
  }
}

test('a dataset larger than the cache is all there when it is compressed, and told in both sizes', async () => {
  await using cache = await Cache.start('lz4', 'text');
  assert.equal(await cache.epoch('/text', 0), datasetBytes);
  assert.equal(await cache.epoch('/text', 1), 0);
  const [attachment] = (await cache.status()).attachments;
  assert.ok(attachment !== undefined);
  assert.equal(attachment.compression, 'lz4');
  assert.ok(Math.abs(attachment.rawBytes - datasetBytes) < 0.02 * datasetBytes, String(attachment.rawBytes));
  assert.ok(attachment.cachedBytes < 0.6 * datasetBytes, String(attachment.cachedBytes));
  const told = await cache.node.run('status');
  assert.match(told.stdout, /\(of 9\d(\.\d+)?MiB, [2-9]\.\d\d to 1\)/);
  const [why] = objectsOf<WhyReply>(await cache.node.run('why', '/text/file-7', '--json'));
  assert.equal(why?.residency.residentBytes, fileBytes);
  assert.ok(why.residency.storedBytes < 0.6 * fileBytes, String(why.residency.storedBytes));
  assert.match((await cache.node.run('why', '/text/file-7')).stdout, /256KiB of 256KiB, compressed to /);
});

test('auto compresses a load of more than the cache has room for, and not what does not shrink', async () => {
  await using cache = await Cache.start('auto', 'text');
  // So that the daemon has looked before half of it has come.
  const { code, stderr } = await cache.node.run('load', '/text', '--wait', '--rate', '32MiB/s');
  assert.equal(code, 0, stderr);
  const [attachment] = (await cache.status()).attachments;
  assert.ok(attachment !== undefined && attachment.cachedBytes < 0.6 * datasetBytes, JSON.stringify(attachment));
  assert.equal(await cache.epoch('/text', 0), 0);

  await using other = await Cache.start('auto', 'noise');
  for (let epoch = 0; epoch < 2; epoch += 1) await other.epoch('/noise', epoch);
  const [noise] = (await other.status()).attachments;
  assert.ok(noise !== undefined && noise.cachedBytes > 0);
  assert.equal(noise.rawBytes, noise.cachedBytes);
});

interface StoredRecord {
  readonly codec: number;
  readonly rawLength: number;
  readonly stored: Buffer;
}

/** The records of a sealed segment, by docs/formats.md. */
function recordsOf(segment: Buffer): readonly StoredRecord[] {
  const trailer = segment.subarray(-4096);
  const [records, footerAt] = [trailer.readUInt32LE(68), trailer.readUInt32LE(88)];
  return Array.from({ length: records }, (_, i) => {
    const entry = segment.subarray(footerAt + 64 * i);
    const [at, length] = [entry.readUInt32LE(16), entry.readUInt32LE(20)];
    return { codec: entry[36] ?? -1, rawLength: entry.readUInt32LE(24), stored: segment.subarray(at, at + length) };
  });
}

test('what is stored is what another LZ4 makes the same files of', async () => {
  const digest = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');
  let directory: string;
  {
    await using cache = await Cache.start('lz4', 'noise');
    assert.equal((await cache.node.run('attach', join(folder.path, 'text'), '--compression', 'lz4')).code, 0);
    for (let i = 0; i < 20; i += 1) for (const path of ['text', 'noise']) await cache.mill.read(`/${path}/file-${i}`);
    directory = join(cache.node.dataDirectory, 'segments');
  }
  const found = new Map<string, number>();
  for (const name of await readdir(directory)) {
    for (const { codec, rawLength, stored } of recordsOf(await readFile(join(directory, name)))) {
      const record = codec === 1 ? new Uint8Array(rawLength) : stored;
      if (codec === 1) assert.equal(lz4.decompressBlock(stored, record, 0, stored.length, 0), rawLength);
      found.set(digest(record), codec);
    }
  }
  const of = (content: (seed: number) => Buffer, codec: number): [string, number][] =>
    Array.from({ length: 20 }, (_, i) => [digest(content(i)), codec]);
  const wanted = [...of(text, 1), ...of((seed) => seededBytes(seed, fileBytes), 0)];
  assert.deepEqual([...found].toSorted(), wanted.toSorted());
});
