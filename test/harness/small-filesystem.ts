import { open, rm, statfs, mkdir, truncate } from 'node:fs/promises';
import { join } from 'node:path';

import type { Had } from './cache-directory.ts';
import { runTool, ToolError } from './tool.ts';

const mountTimeoutMs = 30_000;
const chunkBytes = 1 << 20;

/** A filesystem of its own, of a few MiB, that a test can fill to its end. */
export class SmallFilesystem {
  readonly directory: string;
  /** Of mount(8), before the directory. */
  readonly #how: readonly string[];

  private constructor(directory: string, how: readonly string[]) {
    this.directory = directory;
    this.#how = how;
  }

  /** In memory, mounted at a directory that is made. Needs root; says why where it cannot be had. */
  static async inMemory(directory: string, sizeBytes: number): Promise<Had<SmallFilesystem>> {
    return SmallFilesystem.#mounted(directory, ['-t', 'tmpfs', '-o', `size=${sizeBytes}`, 'tmpfs']);
  }

  /** ext4 in an image file beside the directory. */
  static async ext4(directory: string, sizeBytes: number): Promise<Had<SmallFilesystem>> {
    const image = `${directory}.image`;
    try {
      await (await open(image, 'w')).close();
      await truncate(image, sizeBytes);
      await runTool('mkfs.ext4', ['-q', '-F', '-m', '0', image], { timeoutMs: mountTimeoutMs });
    } catch (thrown) {
      if (thrown instanceof ToolError) return { kind: 'unavailable', why: thrown.message };
      throw thrown;
    }
    return SmallFilesystem.#mounted(directory, ['-o', 'loop', image]);
  }

  /** Takes all the room that is left. */
  async fill(): Promise<void> {
    const file = await open(join(this.directory, 'filler'), 'w');
    try {
      for (let chunk = chunkBytes; chunk >= 1;) {
        const written = await file.write(Buffer.alloc(chunk)).catch((error: NodeJS.ErrnoException) => error);
        if (!(written instanceof Error)) continue;
        if (written.code !== 'ENOSPC') throw written;
        chunk = Math.floor(chunk / 4);
      }
    } finally {
      await file.close();
    }
  }

  async freeBytes(): Promise<number> {
    const { bavail, bsize } = await statfs(this.directory);
    return bavail * bsize;
  }

  /** Gives back what `fill` took. */
  async relieve(): Promise<void> {
    await rm(join(this.directory, 'filler'));
  }

  async unmount(): Promise<void> {
    await runTool('umount', ['--lazy', this.directory], { timeoutMs: mountTimeoutMs });
  }

  /** After `unmount`; what one in an image held is there again. */
  async mountAgain(): Promise<void> {
    await runTool('mount', [...this.#how, this.directory], { timeoutMs: mountTimeoutMs });
  }

  async setReadOnly(isReadOnly: boolean): Promise<void> {
    const option = `remount,${isReadOnly ? 'ro' : 'rw'}`;
    await runTool('mount', ['-o', option, this.directory], { timeoutMs: mountTimeoutMs });
  }

  static async #mounted(directory: string, args: readonly string[]): Promise<Had<SmallFilesystem>> {
    await mkdir(directory, { recursive: true });
    try {
      await runTool('mount', [...args, directory], { timeoutMs: mountTimeoutMs });
      return { kind: 'ready', what: new SmallFilesystem(directory, args) };
    } catch (thrown) {
      if (thrown instanceof ToolError) return { kind: 'unavailable', why: `nothing can be mounted: ${thrown.message}` };
      throw thrown;
    }
  }
}
