import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import { MillpoolNode } from './millpool-process.ts';
import type { CommandResult } from './millpool-process.ts';
import { seededBytes, seededRandom } from './seeded-random.ts';

/** A source's files are admitted to the cache when they are older than this. */
const settleMs = 2100;

export interface FolderFiles {
  readonly files: number;
  readonly seed: number;
  readonly bytesMin: number;
  readonly bytesMax: number;
}

/** A daemon over a folder of generated files in a place of its own, gone at `stop`. */
export class FolderNode {
  readonly directory: string;
  /** The folder that is attached. */
  readonly source: string;
  /** Where it is attached. */
  readonly root = '/source';
  readonly #bytes: ReadonlyMap<string, Buffer>;
  #node: MillpoolNode;

  private constructor(directory: string, bytes: ReadonlyMap<string, Buffer>, node: MillpoolNode) {
    this.directory = directory;
    this.source = join(directory, 'source');
    this.#bytes = bytes;
    this.#node = node;
  }

  static async start(name: string, files: FolderFiles, args: readonly string[] = []): Promise<FolderNode> {
    const directory = await mkdtemp(join(tmpdir(), `millpool-${name}-`));
    try {
      const source = join(directory, 'source');
      const bytes = await writeFiles(source, files);
      await sleep(settleMs);
      const node = await MillpoolNode.start({ directory, sources: [source], args });
      return new FolderNode(directory, bytes, node);
    } catch (error) {
      await rm(directory, { recursive: true, force: true });
      throw error;
    }
  }

  get socket(): string {
    return this.#node.socket;
  }

  get node(): MillpoolNode {
    return this.#node;
  }

  /** Paths in the namespace, in order. */
  get paths(): readonly string[] {
    return [...this.#bytes.keys()];
  }

  /** What the source holds at a path of the namespace. */
  bytesOf(path: string): Buffer {
    const bytes = this.#bytes.get(path);
    if (bytes === undefined) throw new Error(`the source holds no ${path}`);
    return bytes;
  }

  run(...args: readonly string[]): Promise<CommandResult> {
    return this.#node.run(...args);
  }

  /** Ends the daemon and starts it again on the same directory. */
  async restart(
    signal: 'SIGINT' | 'SIGKILL',
    args: readonly string[] = [],
    whileDown: () => Promise<void> = async () => undefined,
  ): Promise<void> {
    await this.#node.stop(signal);
    await whileDown();
    this.#node = await MillpoolNode.start({ directory: this.directory, args });
  }

  async stop(): Promise<void> {
    await this.#node.stop();
    await rm(this.directory, { recursive: true, force: true, maxRetries: 3 });
  }
}

/** Deterministic files over a few directories; keys of the result are paths in the namespace, sorted. */
async function writeFiles(
  source: string,
  { files, seed, bytesMin, bytesMax }: FolderFiles,
): Promise<Map<string, Buffer>> {
  const random = seededRandom(seed);
  const bytes = new Map<string, Buffer>();
  await mkdir(source, { recursive: true });
  for (let i = 0; i < files; i += 1) {
    const name = `part-${String(Math.floor(i / 100)).padStart(3, '0')}/file-${String(i).padStart(6, '0')}.bin`;
    const content = seededBytes(seed + i, bytesMin + Math.floor(random() * (bytesMax - bytesMin + 1)));
    await mkdir(dirname(join(source, name)), { recursive: true });
    await writeFile(join(source, name), content);
    bytes.set(`/source/${name}`, content);
  }
  return bytes;
}
