import { mkdir, mkdtemp, open, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import { connect } from '@millpool/client';
import { formatBytes } from '@millpool/protocol';
import { MillpoolNode } from '@millpool/test/harness';

import { lapProgram } from './bench-program.ts';
import type { Bench } from './figure.ts';
import { LineProcess } from './line-process.ts';
import { memoryBytesOfTree } from './process-memory.ts';

/** A source's files are kept when they are older than this. */
const settleMs = 2200;
const sampleMs = 20;
const listsAtOnce = 16;
const loaders = 4;

/** Files of holes: their bytes cost the source's disk nothing, and the daemon as much as any others. */
export interface LoadShape {
  readonly small: { readonly count: number; readonly sizeBytes: number };
  readonly large: { readonly count: number; readonly sizeBytes: number };
}

/** A daemon of its own that everybody asks for everything at once, as often as `peak` is called. */
export class MemoryLoad implements AsyncDisposable {
  readonly #directory: string;
  readonly #budgetBytes: number;
  readonly #signal: AbortSignal;

  private constructor(directory: string, budgetBytes: number, signal: AbortSignal) {
    this.#directory = directory;
    this.#budgetBytes = budgetBytes;
    this.#signal = signal;
  }

  static async make(shape: LoadShape, budgetBytes: number, { say, signal }: Bench): Promise<MemoryLoad> {
    const load = new MemoryLoad(await mkdtemp(join(tmpdir(), 'millpool-bench-')), budgetBytes, signal);
    try {
      for (const [name, { count, sizeBytes }] of Object.entries(shape)) {
        say(`making ${count} files of ${formatBytes(sizeBytes)}`);
        await load.#makeFiles(name, count, sizeBytes);
      }
      await sleep(settleMs, undefined, { signal });
      return load;
    } catch (error) {
      await load[Symbol.asyncDispose]();
      throw error;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.#directory, { recursive: true, force: true, maxRetries: 3 });
  }

  /** From a cache that has nothing: the most memory that the daemon's process tree had while all was asked for. */
  async peak(): Promise<number> {
    await rm(join(this.#directory, 'data'), { recursive: true, force: true });
    const node = await MillpoolNode.start({
      directory: this.#directory,
      sources: [join(this.#directory, 'files')],
      env: { MILLPOOL_BUDGET: formatBytes(this.#budgetBytes) },
    });
    try {
      const done = new AbortController();
      const watched = watch(node.pid, done.signal);
      await this.#askForAll(node).finally(() => done.abort());
      return await watched;
    } finally {
      await node.stop();
    }
  }

  async #makeFiles(name: string, count: number, sizeBytes: number): Promise<void> {
    const directory = join(this.#directory, 'files', name);
    await mkdir(directory, { recursive: true });
    for (let n = 0; n < count; n += 1) {
      const file = await open(join(directory, String(n).padStart(7, '0')), 'w');
      await file.truncate(sizeBytes);
      await file.close();
    }
  }

  /** Loaders over small and over large files, a load of all, and listings of all names, at the same time. */
  async #askForAll(node: MillpoolNode): Promise<void> {
    const loops: LineProcess[] = [];
    try {
      while (loops.length < loaders) loops.push(await this.#loader(node, loops.length));
      await loadOf(node);
      await Promise.all([
        ...loops.map((loop) => loop.lap('0')),
        ...Array.from({ length: listsAtOnce }, () => listAll(node.socket)),
      ]);
      await loadOf(node, '--wait');
    } finally {
      for (const loop of loops) await loop[Symbol.asyncDispose]();
    }
  }

  /** Two of each kind, in different orders. */
  #loader(node: MillpoolNode, loader: number): Promise<LineProcess> {
    const of = loader % 2 === 0 ? { path: '/files/small', batch: 256 } : { path: '/files/large', batch: 2 };
    const command = [...lapProgram('millpool'), node.socket, of.path, String(of.batch), String(loader)];
    return LineProcess.start(command, { signal: this.#signal });
  }
}

/** Begins a load of all, or joins the one that there is. */
async function loadOf(node: MillpoolNode, ...flags: readonly string[]): Promise<void> {
  const { code, stderr } = await node.run('load', '/files', ...flags);
  if (code !== 0) throw new Error(`millpool load ended with ${String(code)}: ${stderr}`);
}

async function listAll(socket: string): Promise<void> {
  const mill = await connect({ socket });
  let entries = 0;
  for await (const entry of mill.list('/files', { recursive: true })) entries += entry.name === '' ? 0 : 1;
  await mill.close();
  if (entries === 0) throw new Error('nothing was listed');
}

async function watch(pid: number, signal: AbortSignal): Promise<number> {
  let most = 0;
  for (; !signal.aborted; await sleep(sampleMs)) most = Math.max(most, await memoryBytesOfTree(pid));
  return most;
}
