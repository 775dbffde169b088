import { existsSync } from 'node:fs';
import { mkdir, readFile, rmdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

const root = '/sys/fs/cgroup';
const periodMicros = 20_000;

/** Processes that get so much of a processor at most, each for itself: a control group of the kernel for each. */
export class CpuCap {
  readonly #share: number;
  readonly #folders: string[] = [];

  constructor(share: number) {
    this.#share = share;
  }

  /** Null: it can be done here. */
  static async whyNot(): Promise<string | null> {
    const cap = new CpuCap(1);
    try {
      await cap.add(process.pid);
      return null;
    } catch (error) {
      return `processes cannot be given a part of a processor here: ${(error as Error).message}`;
    } finally {
      await cap[Symbol.asyncDispose]();
    }
  }

  async add(pid: number): Promise<void> {
    const isOld = existsSync(join(root, 'cpu'));
    const folder = join(root, isOld ? 'cpu' : '', `millpool-bench-${process.pid}-${pid}`);
    await mkdir(folder);
    this.#folders.push(folder);
    const micros = Math.round(this.#share * periodMicros);
    if (isOld) {
      await writeFile(join(folder, 'cpu.cfs_period_us'), String(periodMicros));
      await writeFile(join(folder, 'cpu.cfs_quota_us'), String(micros));
    } else {
      await writeFile(join(folder, 'cpu.max'), `${micros} ${periodMicros}`);
    }
    await writeFile(join(folder, 'cgroup.procs'), String(pid));
  }

  /** Those that are alive have all that they can get again. */
  async [Symbol.asyncDispose](): Promise<void> {
    for (const folder of this.#folders.splice(0)) {
      const pids = (await readFile(join(folder, 'cgroup.procs'), 'utf8')).split('\n').filter((pid) => pid !== '');
      for (const pid of pids) await writeFile(join(folder, '..', 'cgroup.procs'), pid).catch(() => undefined);
      await rmdir(folder);
    }
  }
}
