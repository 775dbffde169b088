import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { test } from 'node:test';
import type { TestContext } from 'node:test';

import { diskBelow, diskNumbered } from './disk.ts';

/** A tree as the kernel lays it out, for what a test cannot have: LVM and md need drivers, NVMe hardware. */
class SysTree {
  readonly root: string;
  #numbers = 0;

  private constructor(root: string) {
    this.root = root;
  }

  static async make(t: TestContext): Promise<SysTree> {
    const root = await mkdtemp(join(tmpdir(), 'millpool-sys-'));
    t.after(() => rm(root, { recursive: true }));
    await mkdir(join(root, 'dev', 'block'), { recursive: true });
    return new SysTree(root);
  }

  /** Its number. */
  async disk(path: string, rotational: string, parts: readonly string[] = []): Promise<string> {
    const device = join(this.root, 'devices', path);
    await mkdir(join(device, 'queue'), { recursive: true });
    await writeFile(join(device, 'queue', 'rotational'), `${rotational}\n`);
    await mkdir(join(device, 'slaves'));
    for (const part of parts) {
      const link = join(device, 'slaves', part.split('/').at(-1) ?? '');
      await symlink(relative(join(device, 'slaves'), join(this.root, 'devices', part)), link);
    }
    return this.#numbered(device);
  }

  async partition(path: string): Promise<string> {
    const device = join(this.root, 'devices', path);
    await mkdir(device);
    await writeFile(join(device, 'partition'), '1\n');
    return this.#numbered(device);
  }

  async #numbered(device: string): Promise<string> {
    const number = `8:${this.#numbers++}`;
    await symlink(relative(join(this.root, 'dev', 'block'), device), join(this.root, 'dev', 'block', number));
    return number;
  }
}

test('a disk is found through partitions, LVM and md; one that rotates makes all of it rotate', async (t) => {
  const sys = await SysTree.make(t);
  const disks = {
    sda: await sys.disk('pci/ata1/sda', '1'),
    sda1: await sys.partition('pci/ata1/sda/sda1'),
    nvme: await sys.disk('pci/nvme0n1', '0'),
    nvmePart: await sys.partition('pci/nvme0n1/nvme0n1p3'),
    vda: await sys.disk('virtio/vda', '1'),
    vda2: await sys.partition('virtio/vda/vda2'),
  };
  const made = {
    // What these say of themselves is not asked: they only repeat it, with the mistakes of what lies below.
    md0: await sys.disk('virtual/md0', '0', ['pci/ata1/sda/sda1', 'pci/nvme0n1']),
    lvm: await sys.disk('virtual/dm-0', '1', ['pci/nvme0n1/nvme0n1p3']),
    lvmOfMd: await sys.disk('virtual/dm-1', '0', ['virtual/md0']),
    onVirtual: await sys.disk('virtual/dm-2', '1', ['virtio/vda/vda2']),
    gone: await sys.disk('virtual/dm-3', '1', ['pci/nowhere']),
  };
  const said = async (number: string): Promise<unknown> => {
    const { name, rotates } = await diskNumbered(number, sys.root);
    return [name, rotates];
  };
  assert.deepEqual(await said(disks.sda), ['sda', true]);
  assert.deepEqual(await said(disks.sda1), ['sda1', true]);
  assert.deepEqual(await said(disks.nvmePart), ['nvme0n1p3', false]);
  assert.deepEqual(await said(disks.vda), ['vda', null]);
  assert.deepEqual(await said(made.md0), ['md0', true]);
  assert.deepEqual(await said(made.lvm), ['dm-0', false]);
  assert.deepEqual(await said(made.lvmOfMd), ['dm-1', true]);
  assert.deepEqual(await said(made.onVirtual), ['dm-2', null]);
  assert.deepEqual(await said(made.gone), ['dm-3', null]);
  assert.deepEqual(await said('9:99'), [null, null]);
});

test('a directory that is still to be made lies where its parent does', async () => {
  const parent = await diskBelow(tmpdir());
  assert.deepEqual(await diskBelow(join(tmpdir(), 'millpool-nowhere', 'below')), parent);
});
