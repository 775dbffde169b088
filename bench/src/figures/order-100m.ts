import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, rename, rm, stat, statfs } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

import type { LoaderState } from '@millpool/client';
import { MillpoolNode } from '@millpool/test/harness';

import { benchProgram, lapProgram } from '../bench-program.ts';
import type { Beside, Figure } from '../figure.ts';
import { median } from '../interval.ts';
import { LineProcess } from '../line-process.ts';
import { bucketOf, environmentFor, ObjectServer } from '../object-server.ts';
import { comparePairs } from '../pairs.ts';
import type { Contender, Lap } from '../pairs.ts';
import { memoryBytesOf } from '../process-memory.ts';

const run = promisify(execFile);
const id = 'order-100m';
const goal = 1;
/** A resume takes a tenth of a second, of which chance has a large share. */
const pairs = 21;
const objects = { count: 100_000_000, sizeBytes: 4096 };
const path = '/data';
const globalBatch = 256;
const targetSeconds = 2;
/** Of the file, while it is written: the entries once more. */
const diskBytesASample = 140;
const writeTimeoutMs = 30 * 60_000;

export const order100m: Figure = {
  id,
  measures: '2 s ÷ from connecting to the first batch of a loader that resumes amid 100 M samples, nothing in memory',
  async *measure(bench) {
    const room = await statfs(tmpdir());
    const wantedBytes = objects.count * diskBytesASample;
    if (room.bavail * room.bsize < wantedBytes) {
      yield { id, why: `${tmpdir()} has no room for ${Math.ceil(wantedBytes / 1e9)} GB` };
      return;
    }
    await using server = await ObjectServer.start('127.0.0.1');
    await using version = await VersionFile.write(server.endpoint, bench);
    const target: Contender = { lap: async () => ({ samples: 1, seconds: targetSeconds, cpuSeconds: 0 }) };
    const ours: Contender = { lap: () => version.resume() };
    const compared = await comparePairs(ours, target, { pairs, ...bench });
    yield {
      id,
      variant: '100 M samples of 4 KiB, shuffled',
      ...compared,
      referenceName: `${targetSeconds} s; the version file is made by the bench, not by a listing`,
      unit: 'resumes/s',
      goal,
      higherIsBetter: true,
      beside: version.beside,
    };
  },
};

/** A node whose dataset version has all the samples, and which has read none of them. */
class VersionFile implements AsyncDisposable {
  readonly #directory: string;
  readonly #endpoint: string;
  #version = '';
  #emptyBytes = 0;
  readonly #memoryBytes: number[] = [];
  #fileBytes = 0;
  #laps = 0;

  private constructor(directory: string, endpoint: string) {
    this.#directory = directory;
    this.#endpoint = endpoint;
  }

  static async write(
    endpoint: string,
    { say, signal }: { readonly say: (text: string) => void; readonly signal: AbortSignal },
  ): Promise<VersionFile> {
    const file = new VersionFile(await mkdtemp(join(tmpdir(), 'millpool-bench-')), endpoint);
    try {
      await mkdir(file.#datasets, { recursive: true });
      say(`writing a dataset version of ${objects.count} samples`);
      const made = join(file.#datasets, 'made');
      const args = ['version', made, endpoint, bucketOf(objects)];
      const { stdout } = await run(benchProgram, args, { timeout: writeTimeoutMs, signal });
      file.#version = stdout.trim();
      const place = join(file.#datasets, `${file.#version}.dataset`);
      await rename(made, place);
      file.#fileBytes = (await stat(place)).size;
      return file;
    } catch (error) {
      await file[Symbol.asyncDispose]();
      throw error;
    }
  }

  get beside(): readonly Beside[] {
    const bytes = (median(this.#memoryBytes) - this.#emptyBytes) / objects.count;
    return [
      { name: 'memory of daemon and loop, above those that have no dataset', value: bytes, unit: 'bytes a sample' },
      { name: 'version file', value: this.#fileBytes / objects.count, unit: 'bytes a sample' },
    ];
  }

  /** One resume, of a new process at a new daemon, with nothing of the file in the page cache. */
  async resume(): Promise<Lap> {
    const env = environmentFor(this.#endpoint);
    const sources = [`s3://${bucketOf(objects)}/data`];
    const node = await MillpoolNode.start({ directory: this.#directory, sources, args: ['--at', path], env });
    try {
      await using loop = await LineProcess.start([...lapProgram('resume'), node.socket, path]);
      this.#emptyBytes = (await memoryBytesOf(node.pid)) + (await memoryBytesOf(loop.pid));
      await run(benchProgram, ['uncache', this.#datasets]);
      const lap = await loop.lap(JSON.stringify(this.#state()));
      this.#memoryBytes.push((await memoryBytesOf(node.pid)) + (await memoryBytesOf(loop.pid)));
      return { ...lap, samples: 1 };
    } finally {
      await node.stop();
      await rm(join(this.#directory, 'data'), { recursive: true, force: true });
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.#directory, { recursive: true, force: true, maxRetries: 3 });
  }

  get #datasets(): string {
    return join(this.#directory, 'state', 'datasets');
  }

  /** Amid an epoch, somewhere else each time. */
  #state(): LoaderState {
    this.#laps += 1;
    return {
      format: 'millpool-loader-1',
      orderVersion: 1,
      datasets: [{ version: this.#version, weight: 1 }],
      seed: 7,
      epoch: 1,
      position: globalBatch * ((50_000 * this.#laps) % Math.floor(objects.count / globalBatch)),
      globalBatch,
      shuffle: true,
      dropLast: false,
    };
  }
}
