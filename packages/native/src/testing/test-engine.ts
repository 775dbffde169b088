import { mkdir, mkdtemp, readFile, rename, rm } from 'node:fs/promises';
import { readdirSync, statSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import { Engine, type EngineHandlers } from '../engine.ts';
import { FlowClient } from '../flow-client.ts';
import type { ObjectEntry } from '../object-list.ts';

export const attachment = 7;
export const timeoutMs = 20_000;

/** Files that were there long before the test: younger ones are served, but not kept. */
const sourceRoot = dirname(createRequire(import.meta.url).resolve('@types/node/package.json'));

export interface TestFile extends ObjectEntry {
  readonly name: string;
  readonly path: string;
}

/** A real engine on real devices and files, in a folder of its own. */
export class TestEngine {
  readonly engine: Engine;
  readonly folder: string;
  readonly socket: string;
  readonly identity = `local\0test\0${sourceRoot}`;

  private constructor(engine: Engine, folder: string) {
    this.engine = engine;
    this.folder = folder;
    this.socket = join(folder, 'socket');
  }

  static async start(handlers: Partial<EngineHandlers> = {}): Promise<TestEngine> {
    const folder = await mkdtemp(join(tmpdir(), 'millpool-native-'));
    await mkdir(join(folder, 'data'));
    await mkdir(join(folder, 'datasets'));
    const test = new TestEngine(await openEngine(join(folder, 'data')), folder);
    test.#attach();
    await test.engine.serve({
      socket: test.socket,
      mode: 0o600,
      datasets: join(folder, 'datasets'),
      handlers: { control: async (body) => body, receipts: () => undefined, closed: () => undefined, ...handlers },
    });
    return test;
  }

  connect(options: { canMap?: boolean; ringBytes?: number } = {}): Promise<FlowClient> {
    return FlowClient.connect({ socket: this.socket, timeoutMs, ringBytes: 64 * 2 ** 20, ...options });
  }

  /** Fetches these files, and returns when they are in segments. */
  async fill(objects: Uint8Array): Promise<void> {
    await this.engine.fetch(objects, 'load').done;
    await this.engine.flush(timeoutMs);
  }

  /** Closes all open segments. */
  async seal(): Promise<void> {
    this.engine.detach(attachment);
    this.#attach();
    while (this.engine.segments().some(({ sealed }) => !sealed)) await sleep(5);
  }

  #attach(): void {
    const source = { kind: 'folder', root: sourceRoot } as const;
    const { identity } = this;
    this.engine.attach(attachment, { identity, source, admit: true, compression: 'off' });
  }

  /** Puts a finished dataset file where the engine finds it. */
  publish(file: string, version: string): Promise<void> {
    return rename(file, join(this.folder, 'datasets', `${version}.dataset`));
  }

  async stop(): Promise<void> {
    await this.engine.close();
    await rm(this.folder, { recursive: true });
  }
}

export async function openEngine(device: string): Promise<Engine> {
  return Engine.open({
    devices: [{ path: device, tier: 'fast', sizeBytes: 2 ** 30, reserveBytes: 0 }],
    extentDelayMs: 5,
    idleSealMs: 30_000,
    budgetBytes: 64 * 2 ** 20,
    sourceTimeoutMs: 90_000,
    hedge: false,
    threads: 2,
  });
}

/** The first `count` files of the source, in the byte order of their names. */
export function testFiles(count: number): TestFile[] {
  const names = readdirSync(sourceRoot)
    .filter((name) => name.endsWith('.ts'))
    .sort();
  return names.slice(0, count).map((name) => {
    const path = join(sourceRoot, name);
    const stat = statSync(path, { bigint: true });
    const tag = `f:${stat.dev}:${stat.ino}:${stat.mtimeNs}:${stat.ctimeNs}`;
    return { attachment, sourceKey: Buffer.from(name), size: Number(stat.size), tag, name, path };
  });
}

export function bytesOf(file: TestFile): Promise<Buffer> {
  return readFile(file.path);
}
