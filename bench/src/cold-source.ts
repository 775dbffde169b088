import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

import { formatBytes } from '@millpool/protocol';
import { MillpoolNode } from '@millpool/test/harness';

import { benchProgram, lapProgram } from './bench-program.ts';
import { cpuSecondsOf } from './cpu-time.ts';
import { DelayLink } from './delay-link.ts';
import type { Bench } from './figure.ts';
import { LineProcess } from './line-process.ts';
import { bucketOf, environmentFor, ObjectServer } from './object-server.ts';
import type { ObjectSet } from './object-server.ts';
import type { Contender, Lap } from './pairs.ts';
import type { PythonPrograms } from './python-program.ts';
import { SampleOrder, seed } from './sample-order.ts';

const run = promisify(execFile);
const roundTripMs = 20;
const path = '/samples';
const batchSize = 256;
/** What the link alone carries is asked with objects that hide the round trip. */
const ceiling = { objects: { count: 128, sizeBytes: 16 << 20 }, atOnce: 16 };
/** What a first epoch fills: the samples in the page cache, buffers, batches. */
const touchedBytes = 2 * 1024 ** 3 + 512 * 1024 ** 2;
const touchTimeoutMs = 120_000;

export const objects: ObjectSet = { count: 16_384, sizeBytes: 100 << 10 };

interface Parts {
  readonly link: DelayLink;
  readonly server: ObjectServer;
  readonly signal: AbortSignal;
}

interface Command {
  readonly command: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}

/** A bucket at the far end of a link with delay; whoever measures is at the near end. */
export class ColdSource implements AsyncDisposable {
  readonly order: SampleOrder;
  readonly #directory: string;
  readonly #link: DelayLink;
  readonly #server: ObjectServer;
  readonly #signal: AbortSignal;

  private constructor(directory: string, parts: Parts) {
    this.order = new SampleOrder(directory, objects.count);
    this.#directory = directory;
    this.#link = parts.link;
    this.#server = parts.server;
    this.#signal = parts.signal;
  }

  /** Checks that the delay is in force, and says what the link carries. */
  static async open(bench: Bench): Promise<ColdSource> {
    const { signal } = bench;
    const link = await DelayLink.start(roundTripMs);
    const server = await ObjectServer.start(link.farHost, link.far);
    const source = new ColdSource(await mkdtemp(join(tmpdir(), 'millpool-bench-')), { link, server, signal });
    try {
      const seconds = await link.check(server.address, roundTripMs);
      const carried = await source.#ceiling();
      bench.say(
        `the link: ${(seconds * 1000).toFixed(1)} ms there and back, carries ${formatBytes(carried)}/s ` +
          `(${Math.round(carried / objects.sizeBytes)} samples/s)`,
      );
      return source;
    } catch (error) {
      await source[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** The first epoch of a node that has nothing yet. CPU time is the daemon's and the training process's. */
  sdk(): Contender {
    const commandOn = ({ socket }: MillpoolNode): Command => ({
      command: [...lapProgram('millpool'), socket, path, String(batchSize), String(seed)],
    });
    return { lap: (number) => this.#onNewNode((node) => this.#firstEpoch(node, number, commandOn(node))) };
  }

  /** The same by the Python SDK. */
  pythonSdk(programs: PythonPrograms): Contender {
    const commandOn = ({ socket }: MillpoolNode): Command => ({
      command: programs.command('millpool_batches', socket, path, String(batchSize), String(seed), 'views'),
      env: programs.env,
    });
    return { lap: (number) => this.#onNewNode((node) => this.#firstEpoch(node, number, commandOn(node))) };
  }

  /** Another loader in Python that reads the objects where they are: `PROGRAM URL ENDPOINT SCRATCH BATCH WAY…`. */
  async pythonReader(programs: PythonPrograms, program: string, way: readonly string[]): Promise<LineProcess> {
    const scratch = await mkdtemp(join(this.#directory, 'scratch-'));
    const { endpoint } = this.#server;
    const args = [`s3://${bucketOf(objects)}/data`, endpoint, scratch, String(batchSize), ...way];
    const env = { ...programs.env, ...environmentFor(endpoint) };
    return LineProcess.start(programs.command(program, ...args), {
      within: this.#link.near,
      env,
      signal: this.#signal,
    });
  }

  /** `millpool load` of everything on such a node, from when it is asked for to when every byte is here and checked. */
  load(): Contender {
    return { lap: () => this.#onNewNode((node) => this.#load(node)) };
  }

  /** Bare GETs, so many connections at once. */
  async bareLoop(): Promise<LineProcess> {
    const args = ['get', this.#server.address, bucketOf(objects)];
    return LineProcess.start([benchProgram, ...args], { within: this.#link.near, signal: this.#signal });
  }

  /** GETs by the AWS SDK for JavaScript, so many at once. */
  async awsSdk(): Promise<LineProcess> {
    const { endpoint } = this.#server;
    const args = [endpoint, bucketOf(objects), String(objects.sizeBytes)];
    const options = { within: this.#link.near, env: environmentFor(endpoint), signal: this.#signal };
    return LineProcess.start([...lapProgram('aws-sdk'), ...args], options);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server[Symbol.asyncDispose]();
    await this.#link[Symbol.asyncDispose]();
    await rm(this.#directory, { recursive: true, force: true, maxRetries: 3 });
  }

  /** Adds the CPU time of the node's daemon. */
  async #onNewNode(measure: (node: MillpoolNode) => Promise<Lap>): Promise<Lap> {
    const directory = await mkdtemp(join(this.#directory, 'node-'));
    const node = await MillpoolNode.start({
      directory,
      sources: [`s3://${bucketOf(objects)}/data`],
      args: ['--at', path, '--size', formatBytes(2 * objects.count * objects.sizeBytes + 2 ** 30)],
      env: environmentFor(this.#server.endpoint),
      within: this.#link.near,
    });
    try {
      return await measure(node);
    } finally {
      await node.stop();
      await rm(directory, { recursive: true, force: true, maxRetries: 3 });
    }
  }

  async #firstEpoch(node: MillpoolNode, number: number, { command, env = {} }: Command): Promise<Lap> {
    await using loop = await LineProcess.start(command, { env, signal: this.#signal });
    await this.#touchMemory();
    const before = await cpuSecondsOf(node.pid);
    const lap = await loop.lap(String(number));
    return { ...lap, cpuSeconds: lap.cpuSeconds + (await cpuSecondsOf(node.pid)) - before };
  }

  async #load(node: MillpoolNode): Promise<Lap> {
    const listed = await node.run('du', path);
    if (listed.code !== 0) throw new Error(listed.stderr);
    await this.#touchMemory();
    const before = await cpuSecondsOf(node.pid);
    const { code, stdout, stderr } = await node.run('load', path, '--wait', '--json');
    if (code !== 0) throw new Error(stderr);
    const { filesDone, seconds } = JSON.parse(stdout) as { readonly filesDone: number; readonly seconds: number };
    return { samples: filesDone, seconds, cpuSeconds: (await cpuSecondsOf(node.pid)) - before };
  }

  async #touchMemory(): Promise<void> {
    await run(benchProgram, ['memory', String(touchedBytes)], { timeout: touchTimeoutMs, signal: this.#signal });
  }

  /** Bytes a second. */
  async #ceiling(): Promise<number> {
    const args = ['get', this.#server.address, bucketOf(ceiling.objects)];
    await using loop = await LineProcess.start([benchProgram, ...args], { within: this.#link.near });
    const directory = await mkdtemp(join(this.#directory, 'ceiling-'));
    const order = await new SampleOrder(directory, ceiling.objects.count).file(0);
    let best = 0;
    for (let lap = 0; lap < 2; lap += 1) {
      const { samples, seconds } = await loop.lap(`${ceiling.atOnce} ${order}`);
      best = Math.max(best, (samples * ceiling.objects.sizeBytes) / seconds);
    }
    return best;
  }
}
