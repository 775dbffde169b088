import assert from 'node:assert/strict';
import { mkdir, readFile, truncate, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { after, describe, test } from 'node:test';

import { diskBelow } from '@millpool/cache';
import type { Status } from '@millpool/protocol';

import { errorOf, linesOf, objectsOf } from '../harness/command-output.ts';
import { MillpoolNode, runMillpool } from '../harness/millpool-process.ts';
import { temporaryFolder } from '../harness/temporary-folder.ts';
import type { TemporaryFolder } from '../harness/temporary-folder.ts';
import { runTool, ToolError } from '../harness/tool.ts';

const timeoutMs = 30_000;
const diskBytes = 160 << 20;

/** A block device of the kernel, of which a test may say whether it rotates. */
class LoopDisk {
  readonly directory: string;
  readonly device: string;

  private constructor(directory: string, device: string) {
    this.directory = directory;
    this.device = device;
  }

  /** With an ext4, mounted at `directory`. Partitions are read by few kernels of virtual machines: there is none. */
  static async make(directory: string): Promise<LoopDisk> {
    const image = `${directory}.image`;
    await writeFile(image, '');
    await truncate(image, diskBytes);
    const said = await runTool('losetup', ['--find', '--show', image], { timeoutMs });
    const disk = new LoopDisk(directory, said.trim());
    try {
      await runTool('mkfs.ext4', ['-q', '-F', '-m', '0', disk.device], { timeoutMs });
      await mkdir(directory, { recursive: true });
      await runTool('mount', [disk.device, directory], { timeoutMs });
      return disk;
    } catch (error) {
      await runTool('losetup', ['--detach', disk.device], { timeoutMs });
      throw error;
    }
  }

  async rotates(is: boolean): Promise<void> {
    await writeFile(`/sys/block/${basename(this.device)}/queue/rotational`, is ? '1' : '0');
  }

  async remove(): Promise<void> {
    await runTool('umount', ['--lazy', this.directory], { timeoutMs });
    await runTool('losetup', ['--detach', this.device], { timeoutMs });
  }
}

async function madeDisks(folder: string): Promise<readonly [LoopDisk, LoopDisk] | string> {
  try {
    const first = await LoopDisk.make(join(folder, 'first'));
    try {
      const second = await LoopDisk.make(join(folder, 'second'));
      await second.rotates(false);
      return [first, second];
    } catch (error) {
      await first.remove();
      throw error;
    }
  } catch (error) {
    const errno = (error as NodeJS.ErrnoException).code;
    if (error instanceof ToolError || errno === 'EACCES' || errno === 'EROFS') return (error as Error).message;
    throw error;
  }
}

const folder: TemporaryFolder = await temporaryFolder('disks');
const disks = await madeDisks(folder.path);

/** Tiers of the directories of a daemon that was started so. */
async function tiers(args: readonly string[], env: Record<string, string> = {}): Promise<unknown> {
  const node = await MillpoolNode.start({ directory: folder.path, args, env });
  try {
    const [status] = objectsOf<Status>(await node.run('status', '--json'));
    return Object.fromEntries(status?.devices.map(({ path, tier }) => [path, tier]) ?? []);
  } finally {
    await node.stop();
  }
}

/** What doctor says of the device of a data directory: level, sentence, remedy. */
async function doctorOf(directory: string, data: string): Promise<readonly unknown[]> {
  const env = { ...process.env, MILLPOOL_SOCKET: join(folder.path, 'none.sock'), MILLPOOL_DATA: data };
  const { stdout } = await runMillpool(['doctor', '--json'], env);
  const checks = linesOf(stdout).map((line) => JSON.parse(line) as Record<string, string>);
  const check = checks.find(({ name }) => name === `device ${directory}`);
  return [check?.['level'], check?.['sentence'], check?.['remedy']];
}

describe('disks that rotate', { skip: typeof disks === 'string' ? `no loop device: ${disks}` : false }, () => {
  const [first, second] = typeof disks === 'string' ? [] : disks;
  assert.ok(typeof disks === 'string' || (first !== undefined && second !== undefined));
  const ours = (disk: LoopDisk | undefined): string => join(disk?.directory ?? '', 'millpool');

  after(async () => {
    await first?.remove();
    await second?.remove();
    await folder.remove();
  });

  test('the kernel tells of the disk below, and is asked anew each time', async () => {
    const name = basename(first?.device ?? '');
    for (const is of [true, false, true]) {
      await first?.rotates(is);
      const said = (await readFile(`/sys/block/${basename(first?.device ?? '')}/queue/rotational`, 'utf8')).trim();
      assert.equal(said, is ? '1' : '0', 'the kernel took it');
      assert.deepEqual(await diskBelow(first?.directory ?? ''), { name, rotates: is });
    }
  });

  test('a data directory on a disk that rotates is of the slow tier, unless it is said otherwise', async () => {
    await first?.rotates(true);
    const own = join(folder.path, 'data');
    const args = ['--data', ours(first), '--data', ours(second)];
    // The harness names a directory of its own first, on whatever disk there is.
    const isOwnSlow = (await diskBelow(folder.path)).rotates === true;
    const told = { [own]: isOwnSlow ? 'slow' : 'fast', [ours(first)]: 'slow', [ours(second)]: 'fast' };
    assert.deepEqual(await tiers(args), told);
    const fast = { [own]: 'fast', [ours(first)]: 'fast', [ours(second)]: 'fast' };
    assert.deepEqual(await tiers(args, { MILLPOOL_ROTATIONAL: 'fast' }), fast);
    const said = ['--data', ours(first), '--slow-data', ours(second)];
    const both = { ...fast, [ours(second)]: 'slow' };
    assert.deepEqual(await tiers(said, { MILLPOOL_ROTATIONAL: 'fast' }), both);
  });

  test('a directory that is given twice is an error that names it', async () => {
    const env = { ...process.env, MILLPOOL_SOCKET: join(folder.path, 'twice.sock') };
    const up = ['up', '--data', ours(second), '--slow-data', ours(second), '--json'];
    const { code, message } = errorOf(await runMillpool(up, env));
    assert.equal(code, 'invalid');
    assert.match(message, /second\/millpool is given twice/);
  });

  test('doctor finds a disk that rotates in the fast tier, with the remedy, and none in the slow one', async () => {
    await first?.rotates(true);
    const label = first?.device ?? '';
    const [level, sentence, remedy] = await doctorOf(ours(first), ours(first));
    assert.equal(level, 'warn');
    assert.match(String(sentence), new RegExp(`^${label} is a disk that rotates, and of the fast tier`));
    assert.match(String(remedy), /--slow-data/);
    const both = await doctorOf(ours(first), `${ours(second)}:${ours(first)}`);
    assert.deepEqual(both, ['ok', `${label} is a disk that rotates, and of the slow tier.`, '']);
  });
});
