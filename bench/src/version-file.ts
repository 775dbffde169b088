import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, rename, rm, stat, statfs } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

import type { LoaderState } from '@millpool/client';
import { MillpoolNode } from '@millpool/test/harness';

import { benchProgram } from './bench-program.ts';
import type { Bench } from './figure.ts';
import { bucketOf, environmentFor } from './object-server.ts';
import type { ObjectSet } from './object-server.ts';

const run = promisify(execFile);
const writeTimeoutMs = 30 * 60_000;
const path = '/data';
/** Of the file, while it is written: the entries once more. */
const diskBytesASample = 140;

/** Why a version of so many samples cannot be made here; null where it can. */
export async function noRoomFor({ count }: ObjectSet): Promise<string | null> {
  const room = await statfs(tmpdir());
  const wantedBytes = count * diskBytesASample;
  if (room.bavail * room.bsize >= wantedBytes) return null;
  return `${tmpdir()} has no room for ${Math.ceil(wantedBytes / 1e9)} GB`;
}

/** A dataset version over a load generator's objects, made without a listing, and daemons that have it. */
export class VersionFile implements AsyncDisposable {
  readonly #directory: string;
  readonly #endpoint: string;
  readonly #objects: ObjectSet;
  #version = '';
  #fileBytes = 0;

  private constructor(directory: string, endpoint: string, objects: ObjectSet) {
    this.#directory = directory;
    this.#endpoint = endpoint;
    this.#objects = objects;
  }

  static async write(objects: ObjectSet, endpoint: string, { say, signal }: Bench): Promise<VersionFile> {
    const file = new VersionFile(await mkdtemp(join(tmpdir(), 'millpool-bench-')), endpoint, objects);
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

  /** Where it is attached. */
  readonly path = path;

  get bytesASample(): number {
    return this.#fileBytes / this.#objects.count;
  }

  /** A daemon that has the version and nothing else; to be stopped. */
  async start(): Promise<MillpoolNode> {
    await rm(join(this.#directory, 'data'), { recursive: true, force: true });
    const env = environmentFor(this.#endpoint);
    const sources = [`s3://${bucketOf(this.#objects)}/data`];
    return MillpoolNode.start({ directory: this.#directory, sources, args: ['--at', path], env });
  }

  async uncache(): Promise<void> {
    await run(benchProgram, ['uncache', this.#datasets]);
  }

  /** Of a loader at a position of its second epoch. */
  stateAt(position: number, globalBatch: number): LoaderState {
    return {
      format: 'millpool-loader-1',
      orderVersion: 1,
      datasets: [{ version: this.#version, weight: 1 }],
      seed: 7,
      epoch: 1,
      position,
      globalBatch,
      shuffle: true,
      dropLast: false,
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.#directory, { recursive: true, force: true, maxRetries: 3 });
  }

  get #datasets(): string {
    return join(this.#directory, 'state', 'datasets');
  }
}
