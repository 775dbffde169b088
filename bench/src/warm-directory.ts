import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { MillpoolNode } from '@millpool/test/harness';

import { lapProgram } from './bench-program.ts';
import { cpuSecondsOf } from './cpu-time.ts';
import { LineProcess, lapsOf } from './line-process.ts';
import { bucketOf, environmentFor, ObjectServer } from './object-server.ts';
import type { Contender } from './pairs.ts';

const objects = { count: 100_000, sizeBytes: 1024, flat: true };
const path = '/data';

/** One directory of a hundred thousand files, listed already by a real node, and whoever looks up names of it. */
export class WarmDirectory implements AsyncDisposable {
  /** For what others keep; it goes with this. */
  readonly directory: string;
  readonly #server: ObjectServer;
  readonly #node: MillpoolNode;

  private constructor(directory: string, server: ObjectServer, node: MillpoolNode) {
    this.directory = directory;
    this.#server = server;
    this.#node = node;
  }

  static async make(): Promise<WarmDirectory> {
    const directory = await mkdtemp(join(tmpdir(), 'millpool-bench-'));
    const server = await ObjectServer.start('127.0.0.1');
    const env = { ...environmentFor(server.endpoint), MILLPOOL_FRESHNESS: 'immutable' };
    const sources = [`s3://${bucketOf(objects)}/data`];
    try {
      const node = await MillpoolNode.start({ directory, sources, args: ['--at', path], env });
      return new WarmDirectory(directory, server, node);
    } catch (error) {
      await server[Symbol.asyncDispose]();
      await rm(directory, { recursive: true, force: true });
      throw error;
    }
  }

  /** Look-ups of 256 names, one after another; its CPU time is the caller's and the daemon's. */
  async lookUps(): Promise<Contender & AsyncDisposable> {
    return withServer(await this.#program('look-ups'), this.#node.pid);
  }

  /** The same entries out of LMDB, in one process. */
  async lmdbGets(): Promise<Contender & AsyncDisposable> {
    return lapsOf(await this.#program('lmdb-gets', join(this.directory, 'pairs.mdb')));
  }

  /** The same out of Redis, which has process `pid`. */
  async redisGets(redis: { readonly socket: string; readonly pid: number; readonly method: string }) {
    return withServer(await this.#program('redis-gets', redis.socket, redis.method), redis.pid);
  }

  /** It lists the directory before it says its first line. */
  #program(name: string, ...more: readonly string[]): Promise<LineProcess> {
    return LineProcess.start([...lapProgram(name), `${this.#node.socket}.control`, path, ...more]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#node.stop();
    await this.#server[Symbol.asyncDispose]();
    await rm(this.directory, { recursive: true, force: true, maxRetries: 3 });
  }
}

/** Laps of a program, with the CPU time that the server which answers it takes. */
function withServer(program: LineProcess, pid: number): Contender & AsyncDisposable {
  return {
    lap: async (number) => {
      const before = await cpuSecondsOf(pid);
      const lap = await program.lap(String(number));
      return { ...lap, cpuSeconds: lap.cpuSeconds + (await cpuSecondsOf(pid)) - before };
    },
    [Symbol.asyncDispose]: () => program[Symbol.asyncDispose](),
  };
}
