import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, open, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';

import { connect } from '@millpool/client';
import type { Mill } from '@millpool/client';
import { formatBytes, MillpoolError } from '@millpool/protocol';
import { MillpoolNode } from '@millpool/test/harness';

import { benchProgram, lapProgram } from './bench-program.ts';
import { cpuSecondsOf } from './cpu-time.ts';
import type { Bench } from './figure.ts';
import { median } from './interval.ts';
import type { Contender, Lap } from './pairs.ts';
import { memoryBytesOf } from './process-memory.ts';

const run = promisify(execFile);
const recordBytes = 128;
const cacheBytes = 16 * 1024 ** 3;
const writeTimeoutMs = 10 * 60_000;
const firstHitTimeoutMs = 5 * 60_000;
/** A source's files are kept when they are older than this. */
const settleMs = 2200;
const probe = '/probe/a';
/** Of a segment's trailer (docs/formats.md). */
const trailer = { bytes: 4096, footerAt: 88 };

/** What a clean stop leaves (docs/formats.md). */
const savedTable = 'table.image';

/** How the run before ended, and what a start then reads. */
export type Ending = 'clean' | 'crash';

/** A data directory full of small records, on which one daemon after another starts and is asked for a sample. */
export class RestartCache implements AsyncDisposable {
  readonly records: number;
  readonly #directory: string;
  readonly #ending: Ending;
  /** Of a daemon that has nothing. */
  #emptyBytes = 0;
  readonly #memoryBytes: number[] = [];

  private constructor(directory: string, records: number, ending: Ending) {
    this.#directory = directory;
    this.records = records;
    this.#ending = ending;
  }

  static async make(records: number, ending: Ending, { say, signal }: Bench): Promise<RestartCache> {
    const cache = new RestartCache(await mkdtemp(join(tmpdir(), 'millpool-bench-')), records, ending);
    try {
      await cache.#loadProbe(signal);
      say(`writing ${records} records of ${recordBytes} bytes`);
      const args = ['records', cache.#data, String(records), String(recordBytes), String(cacheBytes)];
      await run(benchProgram, args, { timeout: writeTimeoutMs, signal });
      await cache.#start();
      return cache;
    } catch (error) {
      await cache[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** Memory of the daemon, less that of one that has nothing, by the record: the median of all laps. */
  get memoryBytesARecord(): number {
    return (median(this.#memoryBytes) - this.#emptyBytes) / this.records;
  }

  /** From the start of `millpool up` to the first hit, with nothing of data and state in the page cache. */
  daemon(): Contender {
    return {
      lap: async () => {
        await this.#uncache();
        return this.#start();
      },
    };
  }

  /** From the start of Node to the end of its reading what the daemon must read. */
  bareReading(method: string): Contender {
    return {
      lap: async () => {
        const list = await this.#ranges();
        await this.#uncache();
        const startMs = performance.now();
        const [program = '', ...args] = [...lapProgram('read-ranges'), method, list];
        const { stdout } = await run(program, args);
        const seconds = (performance.now() - startMs) / 1000;
        return { samples: 1, seconds, cpuSeconds: (JSON.parse(stdout) as Pick<Lap, 'cpuSeconds'>).cpuSeconds };
      },
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.#directory, { recursive: true, force: true, maxRetries: 3 });
  }

  get #data(): string {
    return join(this.#directory, 'data');
  }

  async #loadProbe(signal: AbortSignal): Promise<void> {
    const source = join(this.#directory, 'probe');
    await mkdir(source);
    await writeFile(join(source, 'a'), Buffer.alloc(recordBytes, 'a'));
    await sleep(settleMs, undefined, { signal });
    const node = await MillpoolNode.start({ directory: this.#directory, sources: [source], args: this.#args });
    const loaded = await node.run('load', '/probe', '--wait');
    this.#emptyBytes = await memoryBytesOf(node.pid);
    await node.stop();
    if (loaded.code !== 0) throw new Error(`millpool load ended with ${String(loaded.code)}: ${loaded.stderr}`);
  }

  get #args(): readonly string[] {
    return ['--size', formatBytes(cacheBytes)];
  }

  /** One start, to its first hit; ended as this cache's daemons end. */
  async #start(): Promise<Lap> {
    const startMs = performance.now();
    const starting = MillpoolNode.start({ directory: this.#directory, args: this.#args });
    starting.catch(() => undefined);
    const mill = await firstConnection(join(this.#directory, 'millpool.sock'), starting);
    const bytes = await mill.read(probe);
    const seconds = (performance.now() - startMs) / 1000;
    const node = await starting;
    const cpuSeconds = await cpuSecondsOf(node.pid);
    const cache = await loadedCache(node);
    this.#memoryBytes.push(await memoryBytesOf(node.pid));
    await mill.close();
    await node.stop(this.#ending === 'clean' ? 'SIGINT' : 'SIGKILL');
    if (bytes.length !== recordBytes || cache.gets > 0 || cache.records <= this.records) {
      throw new Error(`no hit, or not all records are there: ${JSON.stringify(cache)}`);
    }
    return { samples: 1, seconds, cpuSeconds };
  }

  async #uncache(): Promise<void> {
    const read = [this.#data, join(this.#directory, 'state')];
    for (const directory of read) await run(benchProgram, ['uncache', directory]);
  }

  /** What the next start must read, as `read-ranges` wants it. */
  async #ranges(): Promise<string> {
    const lines = this.#ending === 'clean' ? [await wholeRange(join(this.#data, savedTable))] : await this.#footers();
    const list = join(this.#directory, 'ranges');
    await writeFile(list, lines.join('\n'));
    return list;
  }

  async #footers(): Promise<string[]> {
    const segments = join(this.#data, 'segments');
    const lines: string[] = [];
    for (const name of await readdir(segments)) lines.push(await footerRange(join(segments, name)));
    return lines;
  }
}

interface Status {
  readonly cache: { readonly gets: number; readonly records: number; readonly why: string };
}

/** Its status once all that the run before left is in its key table, and it has nothing more to tell. */
async function loadedCache(node: MillpoolNode): Promise<Status['cache']> {
  for (const deadlineMs = performance.now() + firstHitTimeoutMs; ;) {
    const { cache } = JSON.parse((await node.run('status', '--json')).stdout) as Status;
    if (cache.why === '') return cache;
    if (performance.now() > deadlineMs) throw new Error(`not loaded in ${firstHitTimeoutMs} ms: ${cache.why}`);
  }
}

/** Asks again until somebody listens. */
async function firstConnection(socket: string, starting: Promise<unknown>): Promise<Mill> {
  let failed: unknown = null;
  starting.catch((error: unknown) => (failed = error));
  for (const deadlineMs = performance.now() + firstHitTimeoutMs; performance.now() < deadlineMs; await sleep(1)) {
    if (failed !== null) throw failed;
    try {
      return await connect({ socket });
    } catch (error) {
      if (!(error instanceof MillpoolError) || error.code !== 'unreachable') throw error;
    }
  }
  throw new Error(`nobody listened on ${socket} within ${firstHitTimeoutMs} ms`);
}

async function wholeRange(path: string): Promise<string> {
  return `0 ${(await stat(path)).size} ${path}`;
}

async function footerRange(path: string): Promise<string> {
  const { size } = await stat(path);
  const file = await open(path);
  const { buffer } = await file.read(Buffer.alloc(trailer.bytes), 0, trailer.bytes, size - trailer.bytes);
  await file.close();
  const footerAt = buffer.readUInt32LE(trailer.footerAt);
  return `${footerAt} ${size - footerAt} ${path}`;
}
