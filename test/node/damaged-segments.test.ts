import assert from 'node:assert/strict';
import { open, readdir, readFile, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';

import { connect } from '@millpool/client';
import type { JobStatus, Status } from '@millpool/protocol';

import { objectsOf } from '../harness/command-output.ts';
import { FolderNode } from '../harness/folder-node.ts';

const files = 400;
/** Layout: docs/formats.md, "Segment". */
const blockBytes = 4096;
const entryAt = 64;
const extentLengthAt = 48;
const trailerFooterAt = 88;
let node: FolderNode;

before(async () => {
  node = await FolderNode.start('damaged', { files, seed: 31, bytesMin: 1, bytesMax: 60_000 });
});
after(() => node.stop());

async function status(): Promise<Status> {
  const [found] = objectsOf<Status>(await node.run('status', '--json'));
  assert.ok(found !== undefined);
  return found;
}

async function loadAll(...flags: readonly string[]): Promise<void> {
  const [job] = objectsOf<JobStatus>(await node.run('load', node.root, '--wait', ...flags, '--json'));
  assert.deepEqual([job?.state, job?.filesDone], ['done', files]);
}

/** Every byte against the source, through a new connection: by mapping, or over the socket. */
async function compareAll(): Promise<void> {
  await using mill = await connect({ socket: node.socket });
  for (let first = 0; first < node.paths.length; first += 100) {
    const paths = node.paths.slice(first, first + 100);
    using batch = await mill.readMany(paths);
    for (const [i, path] of paths.entries()) assert.deepEqual(Buffer.from(batch.sample(i)), node.bytesOf(path), path);
  }
}

async function segmentPaths(): Promise<string[]> {
  const directory = join(node.node.dataDirectory, 'segments');
  return (await readdir(directory)).map((name) => join(directory, name));
}

/** The segment that holds a file's bytes, and where. */
async function placeOf(path: string): Promise<{ readonly segment: string; readonly at: number }> {
  for (const segment of await segmentPaths()) {
    const at = (await readFile(segment)).indexOf(node.bytesOf(path));
    if (at >= 0) return { segment, at };
  }
  throw new Error(`no segment holds ${path}`);
}

/** The segment that the first load filled. */
async function largestSegment(): Promise<string> {
  const paths = await segmentPaths();
  const sizes = await Promise.all(paths.map(async (path) => (await stat(path)).size));
  return paths[sizes.indexOf(Math.max(...sizes))] ?? '';
}

/** Changes one bit of a file, by a descriptor of its own, and looks whether it did. Its times stay. */
async function flip(path: string, at: number): Promise<void> {
  const file = await open(path, 'r+');
  try {
    const { atime, mtime } = await file.stat();
    const earlier = await file.read(Buffer.alloc(1), 0, 1, at);
    const changed = Buffer.from([(earlier.buffer[0] ?? 0) ^ 0x10]);
    await file.write(changed, 0, 1, at);
    const later = await file.read(Buffer.alloc(1), 0, 1, at);
    assert.deepEqual([earlier.bytesRead, later.bytesRead, later.buffer[0]], [1, 1, changed[0]]);
    assert.notEqual(later.buffer[0], earlier.buffer[0]);
    await file.utimes(atime, mtime);
  } finally {
    await file.close();
  }
}

/** Files of more than a block, so that a flip in their middle is in no gap. */
function largeFiles(): readonly string[] {
  return node.paths.filter((path) => node.bytesOf(path).length > blockBytes);
}

/** All is resident, and the daemon is down while `harm` is done to its sealed segments. */
async function harmedAtRest(harm: () => Promise<void>, savedTable: 'kept' | 'lost' = 'lost'): Promise<void> {
  await loadAll();
  await node.restart('SIGINT', [], async () => {
    const names = await segmentPaths();
    assert.ok(names.length > 0 && names.every((name) => name.endsWith('.seg')), 'all segments are sealed');
    await harm();
    if (savedTable === 'lost') await rm(join(node.node.dataDirectory, 'table.image'));
  });
}

/** What reading everything needed of the source, in bytes, and the records that were found damaged. */
async function costOfReadingAll(): Promise<readonly [sourceBytes: number, damaged: number]> {
  await compareAll();
  const { cache } = await status();
  return [cache.sourceBytes, cache.damagedRecords];
}

test('a bit of a payload: the damaged record is counted, fetched again, and stays healed', async () => {
  const victim = largeFiles()[7] ?? '';
  for (const savedTable of ['kept', 'lost'] as const) {
    await harmedAtRest(async () => {
      const { segment, at } = await placeOf(victim);
      await flip(segment, at + Math.floor(node.bytesOf(victim).length / 2));
    }, savedTable);
    assert.deepEqual(await costOfReadingAll(), [node.bytesOf(victim).length, 1]);
  }
  await harmedAtRest(async () => undefined);
  assert.deepEqual(await costOfReadingAll(), [0, 0]);
});

test('a bit of the header of an extent: the footer is believed, and nothing is fetched', async () => {
  await harmedAtRest(async () => flip(await largestSegment(), entryAt + 3));
  assert.deepEqual(await costOfReadingAll(), [0, 0]);
  // Put right again, for the tests to come.
  await harmedAtRest(async () => flip(await largestSegment(), entryAt + 3));
});

test('a bit of the footer, or of the trailer: the extents are gone through, and nothing is fetched', async () => {
  for (const part of ['footer', 'trailer'] as const) {
    await harmedAtRest(async () => {
      const segment = await largestSegment();
      const bytes = await readFile(segment);
      const trailerAt = bytes.length - blockBytes;
      assert.equal(bytes.toString('latin1', trailerAt, trailerAt + 4), 'MPSG');
      const footerAt = bytes.readUInt32LE(trailerAt + trailerFooterAt);
      await flip(segment, part === 'footer' ? footerAt + 5 : trailerAt + 100);
    });
    assert.deepEqual(await costOfReadingAll(), [0, 0], part);
  }
});

test('a bit of the second extent and one of the trailer: what can no longer be believed is fetched again', async () => {
  await harmedAtRest(async () => {
    const segment = await largestSegment();
    const bytes = await readFile(segment);
    const secondAt = bytes.readUInt32LE(extentLengthAt);
    assert.equal(bytes.toString('latin1', secondAt, secondAt + 4), 'MPEX');
    await flip(segment, secondAt + entryAt + 3);
    await flip(segment, bytes.length - 4);
  });
  const [sourceBytes] = await costOfReadingAll();
  assert.ok(sourceBytes > 0);
});

test('a bit of the first extent and one of the trailer: the file is given up, and the log says so', async () => {
  await harmedAtRest(async () => {
    const segment = await largestSegment();
    await flip(segment, entryAt + 3);
    await flip(segment, (await stat(segment)).size - 4);
  });
  assert.match(node.node.stderr, /segment.* damaged .*removed/);
  const [sourceBytes] = await costOfReadingAll();
  assert.ok(sourceBytes > 0);
});

test('a bit that changes while the daemon runs: found by load --verify, and by reads after a restart', async () => {
  for (const findBy of ['verify', 'restart'] as const) {
    await loadAll();
    await compareAll();
    const victim = largeFiles()[9] ?? '';
    const { segment, at } = await placeOf(victim);
    await flip(segment, at + 1000);
    const { cache } = await status();
    if (findBy === 'verify') await loadAll('--verify');
    else await node.restart('SIGKILL');
    await compareAll();
    const later = (await status()).cache;
    assert.equal(later.damagedRecords - (findBy === 'verify' ? cache.damagedRecords : 0), 1);
  }
});
