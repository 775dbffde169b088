import assert from 'node:assert/strict';
import { open, readFile } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { after, before, test } from 'node:test';

import { connect } from '@millpool/client';
import type { Mill } from '@millpool/client';
import type { Status } from '@millpool/protocol';

import { objectsOf } from '../harness/command-output.ts';
import { FolderNode } from '../harness/folder-node.ts';

const files = 300;
/** Layout: docs/formats.md, "Key table". */
const headerBytes = 4096;
const bucketBytes = 128;
const entryBytes = 40;
const firstEntryAt = 8;
let node: FolderNode;

before(async () => {
  node = await FolderNode.start('table', { files, seed: 71, bytesMin: 1, bytesMax: 30_000 });
  objectsOf(await node.run('load', node.root, '--wait', '--json'));
});
after(() => node.stop());

async function compareAll(mill: Mill): Promise<void> {
  using batch = await mill.readMany(node.paths);
  for (const [i, path] of node.paths.entries()) {
    assert.deepEqual(Buffer.from(batch.sample(i)), node.bytesOf(path), path);
  }
}

async function fetchedBytes(): Promise<number> {
  const [status] = objectsOf<Status>(await node.run('status', '--json'));
  return status?.cache.sourceBytes ?? 0;
}

/**
 * The daemon's own writable mapping of the table, through its memory: the file is sealed, so that nobody else can write
 * to it, by any descriptor.
 */
async function tableMapping(): Promise<{ readonly from: number; readonly to: number }> {
  const maps = await readFile(`/proc/${node.node.pid}/maps`, 'utf8');
  const found = /^([0-9a-f]+)-([0-9a-f]+) rw-s .*memfd:millpool-table/m.exec(maps);
  assert.ok(found !== null, 'the daemon maps the table');
  return { from: parseInt(found[1] ?? '', 16), to: parseInt(found[2] ?? '', 16) };
}

/** Flips one bit of an entry in each bucket that holds one; gives how many. */
async function harmTable(memory: FileHandle, byteOfEntry: number): Promise<number> {
  const { from, to } = await tableMapping();
  const table = Buffer.alloc(to - from);
  await memory.read(table, 0, table.length, from);
  let harmed = 0;
  for (let at = headerBytes; at + bucketBytes <= table.length; at += bucketBytes) {
    const flagsAt = at + firstEntryAt + entryBytes - 4;
    if ((table.readUInt32LE(flagsAt) & 1) === 0) continue;
    const target = at + firstEntryAt + byteOfEntry;
    const changed = Buffer.from([(table[target] ?? 0) ^ 0x01]);
    await memory.write(changed, 0, 1, from + target);
    const seen = await memory.read(Buffer.alloc(1), 0, 1, from + target);
    assert.equal(seen.buffer[0], changed[0]);
    harmed += 1;
  }
  return harmed;
}

test('a bit of each bucket of the key table: a miss, and fetched again; never other bytes', async (t) => {
  await using mill = await connect({ socket: node.socket });
  await compareAll(mill);
  assert.equal(
    await fetchedBytes(),
    node.paths.reduce((sum, path) => sum + node.bytesOf(path).length, 0),
  );
  const memory = await open(`/proc/${node.node.pid}/mem`, 'r+').catch((error: NodeJS.ErrnoException) => error);
  if (memory instanceof Error) return t.skip(`the daemon's memory cannot be written here: ${memory.message}`);
  try {
    // In turn a byte of the key, of the segment, of the offset, of the length, of the checksum and of the generation.
    for (const byteOfEntry of [3, 16, 20, 24, 28, 32]) {
      const earlier = await fetchedBytes();
      assert.ok((await harmTable(memory, byteOfEntry)) > files / 3, 'most records were harmed');
      await compareAll(mill);
      const healed = await fetchedBytes();
      assert.ok(healed > earlier, `byte ${byteOfEntry}`);
      await using other = await connect({ socket: node.socket });
      await compareAll(other);
      objectsOf(await node.run('load', node.root, '--wait', '--json'));
      const whole = await fetchedBytes();
      await compareAll(mill);
      assert.equal(await fetchedBytes(), whole, 'all is resident again');
    }
  } finally {
    await memory.close();
  }
  return undefined;
});
