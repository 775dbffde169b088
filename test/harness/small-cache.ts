import assert from 'node:assert/strict';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import { connect } from '@millpool/client';
import type { LoaderOptions, Mill } from '@millpool/client';
import type { AttachmentStatus, Policy, Status } from '@millpool/protocol';

import { objectsOf } from './command-output.ts';
import { MillpoolNode } from './millpool-process.ts';
import type { NodeOptions } from './millpool-process.ts';
import { seededBytes } from './seeded-random.ts';
import { temporaryFolder } from './temporary-folder.ts';
import type { TemporaryFolder } from './temporary-folder.ts';

const miB = 2 ** 20;
export const fileBytes = miB / 2;
export const files = 256;
export const datasetBytes = files * fileBytes;
export const cacheBytes = 96 * miB;
export const sources = ['one', 'two'] as const;
const deadlineMs = 120_000;
/** A source's files are kept when they are older than this. */
const settleMs = 2100;

/** Files lie in so many folders of a dataset, in turn. */
export const parts = 4;

/** Where a file of a dataset is in the namespace. */
export function pathOf(source: (typeof sources)[number], file: number): string {
  return `/${source}/${file % parts}/file-${file}`;
}

/** Two folders, each a third larger than the cache. */
export async function twoDatasets(name: string): Promise<TemporaryFolder> {
  const folder = await temporaryFolder(name);
  for (const [s, source] of sources.entries()) {
    for (let part = 0; part < parts; part += 1)
      await mkdir(join(folder.path, source, String(part)), { recursive: true });
    for (let i = 0; i < files; i += 1) {
      await writeFile(join(folder.path, pathOf(source, i)), seededBytes(1000 * s + i, fileBytes));
    }
  }
  await sleep(settleMs);
  return folder;
}

/** A daemon of its own with a cache that holds three quarters of one dataset. */
export class SmallCache implements AsyncDisposable {
  readonly #folder: string;
  readonly #options: NodeOptions;
  node: MillpoolNode;
  mill: Mill;

  private constructor(folder: string, options: NodeOptions, node: MillpoolNode, mill: Mill) {
    this.#folder = folder;
    this.#options = options;
    this.node = node;
    this.mill = mill;
  }

  static async start(
    folder: string,
    name: string,
    policy: Policy,
    env: Record<string, string> = {},
  ): Promise<SmallCache> {
    const directory = join(folder, name);
    await mkdir(directory);
    const options = { directory, args: ['--size', '96MiB', '--policy', policy], env };
    const node = await MillpoolNode.start(options);
    const cache = new SmallCache(folder, options, node, await connect({ socket: node.socket }));
    for (const source of sources) await cache.attach(source, policy);
    return cache;
  }

  /** The same directory with another daemon. */
  async restart(signal: 'SIGINT' | 'SIGKILL', whileDown: () => Promise<void> = async () => undefined): Promise<void> {
    await this.mill.close();
    await this.node.stop(signal);
    await whileDown();
    this.node = await MillpoolNode.start(this.#options);
    this.mill = await connect({ socket: this.node.socket });
  }

  async attach(source: (typeof sources)[number], policy: Policy): Promise<void> {
    const { code, stderr } = await this.node.run('attach', join(this.#folder, source), '--policy', policy);
    assert.equal(code, 0, stderr);
  }

  async status(): Promise<Status> {
    const [status] = objectsOf<Status>(await this.node.run('status', '--json'));
    assert.ok(status !== undefined);
    return status;
  }

  async attachment(path: string): Promise<AttachmentStatus> {
    const found = (await this.status()).attachments.find((attachment) => attachment.path === path);
    assert.ok(found !== undefined);
    return found;
  }

  /** Reads a dataset once in the order of an epoch, every byte held against the source. */
  async epoch(path: string, epoch: number, options: LoaderOptions = {}): Promise<void> {
    const data = await this.mill.dataset(path);
    let samples = 0;
    const offset = 1000 * sources.findIndex((source) => path === `/${source}`);
    for await (using batch of data.loader({ batchSize: 16, shuffle: true, seed: 1, epoch, ...options })) {
      for (let i = 0; i < batch.length; i += 1) {
        const index = Number(batch.path(i).split('-').at(-1));
        assert.ok(Buffer.from(batch.sample(i)).equals(seededBytes(offset + index, fileBytes)));
      }
      samples += batch.length;
    }
    assert.equal(samples, files);
  }

  /** Epochs without end, until it is told to stop. */
  keepReading(path: string, options: LoaderOptions = {}): { stop(): Promise<void> } {
    const stop = new AbortController();
    const running = (async () => {
      for (let epoch = 0; !stop.signal.aborted; epoch += 1) await this.epoch(path, epoch, options);
    })();
    // Its failure is met where it is stopped.
    running.catch(() => undefined);
    return {
      stop: async () => {
        stop.abort();
        await running;
      },
    };
  }

  async until(what: string, check: (status: Status) => boolean): Promise<Status> {
    for (const since = performance.now(); ; await sleep(200)) {
      const status = await this.status();
      if (check(status)) return status;
      assert.ok(performance.now() - since < deadlineMs, `never ${what}: ${JSON.stringify(status, null, 1)}`);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.mill.close();
    await this.node.stop();
  }
}

/** Live bytes of an attachment in segments. */
export function cachedOf({ attachments }: Status, path: string): number {
  return attachments.find((attachment) => attachment.path === path)?.cachedBytes ?? 0;
}
