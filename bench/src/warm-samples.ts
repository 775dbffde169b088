import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';

import { formatBytes } from '@millpool/protocol';
import { MillpoolNode } from '@millpool/test/harness';

import { benchProgram, lapProgram } from './bench-program.ts';
import { cpuSecondsOf } from './cpu-time.ts';
import type { Bench } from './figure.ts';
import { LineProcess, lapsOf } from './line-process.ts';
import type { Contender } from './pairs.ts';
import type { PythonPrograms } from './python-program.ts';
import { SampleOrder, seed } from './sample-order.ts';

const run = promisify(execFile);
const writeTimeoutMs = 10 * 60_000;
/** A source's files are kept when they are older than this. */
const settleMs = 2200;
const path = '/samples';

export const batchSize = 256;

export interface SampleShape {
  readonly count: number;
  readonly sizeBytes: number;
}

/** The same samples as files, packed for the bare gather, and loaded into a real node over the files. */
export class WarmSamples implements AsyncDisposable {
  readonly shape: SampleShape;
  readonly order: SampleOrder;
  readonly #directory: string;
  readonly #node: MillpoolNode;

  private constructor(shape: SampleShape, directory: string, node: MillpoolNode) {
    this.shape = shape;
    this.order = new SampleOrder(directory, shape.count);
    this.#directory = directory;
    this.#node = node;
  }

  static async make(shape: SampleShape, { say, signal }: Bench): Promise<WarmSamples> {
    const { count, sizeBytes } = shape;
    const directory = await mkdtemp(join(tmpdir(), 'millpool-bench-'));
    try {
      say(`writing ${count} files of ${formatBytes(sizeBytes)}, and loading them`);
      const args = ['samples', directory, String(count), String(sizeBytes)];
      await run(benchProgram, args, { timeout: writeTimeoutMs, signal });
      await sleep(settleMs, undefined, { signal });
      const sources = [join(directory, 'files')];
      const size = ['--size', formatBytes(4 * count * sizeBytes + 2 ** 30)];
      const node = await MillpoolNode.start({ directory, sources, args: ['--at', path, ...size] });
      const samples = new WarmSamples(shape, directory, node);
      const loaded = await node.run('load', path, '--wait');
      if (loaded.code === 0) return samples;
      await node.stop();
      throw new Error(`millpool load ended with ${String(loaded.code)}: ${loaded.stderr.slice(0, 400)}`);
    } catch (error) {
      await rm(directory, { recursive: true, force: true });
      throw error;
    }
  }

  /** The folder of single files. */
  get folder(): string {
    return join(this.#directory, 'files');
  }

  /** The same samples one after another in a few large files. */
  get packed(): string {
    return join(this.#directory, 'packed');
  }

  /**
   * Batches through the TypeScript SDK of segments that are nowhere in memory, by a process that has mapped nothing
   * yet. CPU time is the daemon's and the training process's.
   */
  uncachedSdk({ signal }: Bench): Contender {
    return {
      lap: async (number) => {
        await using loop = await LineProcess.start(this.#sdkCommand, { signal });
        const segments = join(this.#node.dataDirectory, 'segments');
        await run(benchProgram, ['uncache', segments], { timeout: writeTimeoutMs, signal });
        const before = await cpuSecondsOf(this.#node.pid);
        const lap = await loop.lap(String(number));
        return { ...lap, cpuSeconds: lap.cpuSeconds + (await cpuSecondsOf(this.#node.pid)) - before };
      },
    };
  }

  /** Batches through the TypeScript SDK; its CPU time is the training process's alone. */
  async sdk(): Promise<Contender & AsyncDisposable> {
    return lapsOf(await LineProcess.start(this.#sdkCommand), async (number) => String(number));
  }

  /** For programs that read it themselves: socket, path and seed. */
  get pythonSource(): readonly [string, string, string] {
    return [this.#node.socket, path, String(seed)];
  }

  /** Of the daemon, so far. */
  daemonCpuSeconds(): Promise<number> {
    return cpuSecondsOf(this.#node.pid);
  }

  /** The same batches copied out of mapped files, in one thread. */
  async bareGather(): Promise<Contender & AsyncDisposable> {
    const { count, sizeBytes } = this.shape;
    const args = ['gather', this.#directory, String(count), String(sizeBytes), String(batchSize)];
    return lapsOf(await LineProcess.start([benchProgram, ...args]), (number) => this.order.file(number));
  }

  /** The same batches by one of Node's ways to read files. */
  async nodeFiles(method: string): Promise<Contender & AsyncDisposable> {
    const args = [method, this.folder, String(this.shape.sizeBytes), String(batchSize)];
    const started = await LineProcess.start([...lapProgram('node-files'), ...args]);
    return lapsOf(started, (number) => this.order.file(number));
  }

  /** Batches through the Python SDK; its CPU time is the training process's alone. */
  async pythonSdk(programs: PythonPrograms, method: string): Promise<Contender & AsyncDisposable> {
    const [socket, at, order] = this.pythonSource;
    const command = programs.command('millpool_batches', socket, at, String(batchSize), order, method);
    const started = await LineProcess.start(command, { env: programs.env });
    return lapsOf(started, async (number) => String(number));
  }

  /** The same batches by a program that is told their order. */
  async byOrder(command: readonly string[]): Promise<Contender & AsyncDisposable> {
    return lapsOf(await LineProcess.start(command), (number) => this.order.file(number));
  }

  get #sdkCommand(): readonly string[] {
    return [...lapProgram('millpool'), this.#node.socket, path, String(batchSize), String(seed)];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#node.stop();
    await rm(this.#directory, { recursive: true, force: true, maxRetries: 3 });
  }
}
