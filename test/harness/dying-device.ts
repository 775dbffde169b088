import { open, rm, truncate } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import type { Had } from './cache-directory.ts';
import { SmallFilesystem } from './small-filesystem.ts';
import { runTool } from './tool.ts';

const toolTimeoutMs = 30_000;
const pauseMs = 100;
const triesMax = 300;

/**
 * A filesystem on a device that can die: ext4 in an image on a small filesystem in memory. Once it is dead the image
 * holds nothing, so what is read of the device fails, and what is written to it finds no room: I/O errors, both.
 */
export class DyingDevice {
  /** Where it is mounted. */
  readonly directory: string;
  readonly #below: SmallFilesystem;
  readonly #device: SmallFilesystem;

  private constructor(below: SmallFilesystem, device: SmallFilesystem) {
    this.directory = device.directory;
    this.#below = below;
    this.#device = device;
  }

  /** Mounted in a folder of a name that nothing has. */
  static async start(folder: string, sizeBytes: number): Promise<Had<DyingDevice>> {
    const below = await SmallFilesystem.inMemory(folder, sizeBytes + (1 << 20));
    if (below.kind === 'unavailable') return below;
    const device = await SmallFilesystem.ext4(join(folder, 'device'), sizeBytes);
    if (device.kind === 'ready') return { kind: 'ready', what: new DyingDevice(below.what, device.what) };
    await below.what.unmount();
    return device;
  }

  /** What is in memory of these files is read from the device again, as far as nobody has it mapped. */
  async dropFromMemory(paths: readonly string[]): Promise<void> {
    for (const path of paths) {
      const drop = [`of=${path}`, 'oflag=nocache', 'conv=notrunc,fdatasync', 'count=0', 'status=none'];
      await runTool('dd', drop, { timeoutMs: toolTimeoutMs });
    }
  }

  async die(): Promise<void> {
    await truncate(`${this.directory}.image`, 0);
    await this.#below.fill();
  }

  /** Whether a file can be read past what is in memory. */
  async gives(path: string): Promise<boolean> {
    const read = [`if=${path}`, 'of=/dev/null', 'iflag=direct', 'bs=4096', 'count=16', 'status=none'];
    return runTool('dd', read, { timeoutMs: toolTimeoutMs }).then(
      () => true,
      () => false,
    );
  }

  /** Returns when its filesystem has met the death, and takes nothing more: it tries to write for as long. */
  async refuses(): Promise<void> {
    for (let tries = 0; tries < triesMax; tries += 1) {
      const code = await writeTo(join(this.directory, 'probe')).catch(({ code: of }: NodeJS.ErrnoException) => of);
      if (code === 'EROFS' || code === 'EIO') return;
      await sleep(pauseMs);
    }
    throw new Error(`${this.directory} still takes what is written`);
  }

  /** Alive again, and empty, as a replaced one is. */
  async replace(sizeBytes: number): Promise<void> {
    await this.#device.unmount();
    await this.#below.relieve();
    await rm(`${this.directory}.image`);
    await (await open(`${this.directory}.image`, 'w')).close();
    const made = await SmallFilesystem.ext4(this.directory, sizeBytes);
    if (made.kind === 'unavailable') throw new Error(made.why);
  }

  async unmount(): Promise<void> {
    await this.#device.unmount();
    await this.#below.unmount();
  }
}

async function writeTo(path: string): Promise<void> {
  await using file = await open(path, 'w');
  await file.write('probe');
  await file.sync();
}
