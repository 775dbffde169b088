import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

import { MillpoolError, unpackEntries } from '@millpool/protocol';

import { encodeCursor } from './cursor.ts';
import { directoryOf } from './directory.ts';
import { crashBucket, crashLimits, crashListing } from './testing/crash-round.ts';
import { never, NodeFixture } from './testing/node-fixture.ts';

const child = fileURLToPath(new URL('./testing/crash-child.js', import.meta.url));
const kills = 8;
const killWithinMs = 700;

interface Kill {
  readonly name: string;
  readonly startMs: number;
  /** Listings that have ended before. */
  readonly round: number;
  readonly afterMs: number;
}

/** Kills a node in the middle of its listings; what its clock said last. */
async function killOne(directory: string, at: Kill): Promise<number> {
  const victim = spawn(process.execPath, [child, directory, at.name, String(at.startMs)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const lines = createInterface({ input: victim.stdout });
  let nowMs = at.startMs;
  await new Promise<void>((begun) => {
    lines.on('line', (line) => {
      nowMs = Number(line.split(' ')[0]);
      if (line.endsWith(` ${at.round}`)) begun();
    });
  });
  // Not a wait for anything: the moment of the kill is what the seed picks.
  await pause(at.afterMs);
  const exit = once(victim, 'exit');
  victim.kill('SIGKILL');
  const [, signal] = (await exit) as [number | null, string | null];
  assert.equal(signal, 'SIGKILL', 'the child was killed, and did not end by itself');
  return nowMs;
}

/** A cursor before the first name of an attachment: a `strict` listing that goes on does not ask the source again. */
function cursorBefore(node: NodeFixture, path: string): string {
  const attachment = node.metadata.attachments().find((candidate) => candidate.path === path);
  assert.ok(attachment !== undefined);
  const prefix = Buffer.from(`${path.slice(1)}/`);
  const { id } = directoryOf({ attachment: attachment.id, path, prefix }, crashLimits.shards);
  return encodeCursor({ directory: id, recursive: false, generation: 0, type: 'file', last: '!' });
}

async function contentOf(node: NodeFixture, path: string, from: string | null): Promise<string[]> {
  const lines: string[] = [];
  for (let cursor = from, more = true; more;) {
    const page = await node.page(path, { cursor, limit: 10_000 });
    lines.push(...unpackEntries(page.entries).map((entry) => `${entry.path} ${entry.type} ${entry.size}`));
    cursor = page.cursor;
    more = cursor !== null;
  }
  return lines;
}

/** With the source cut off: what the store holds as whole is one of the two listings; null when it holds none. */
async function assertWhole(
  node: NodeFixture,
  path: string,
  listings: readonly (readonly string[])[],
): Promise<'whole' | 'none'> {
  // The first attempt may end what was being applied, before it fails of the source.
  for (let attempt = 0; attempt < 2; attempt += 1) {
    try {
      const content = await contentOf(node, path, cursorBefore(node, path));
      assert.ok(
        listings.some(
          (listing) => listing.length === content.length && listing.every((line, at) => line === content[at]),
        ),
      );
      return 'whole';
    } catch (error) {
      if (!(error instanceof MillpoolError)) throw error;
      assert.equal(error.code, 'source-unavailable');
    }
  }
  return 'none';
}

test('killed at any moment of listings and splits, the store holds whole listings or none', async (t) => {
  const directory = await mkdtemp(join(tmpdir(), 'millpool-crash-'));
  t.after(() => rm(directory, { recursive: true, force: true }));
  const seed = Number(process.env.SEED ?? Date.now() % 1e6);
  t.diagnostic(`SEED=${seed}`);
  let nowMs = 0;
  for (let kill = 0; kill < kills; kill += 1) {
    const name = `b${kill}`;
    const afterMs = ((seed + kill * 7_919) % 1_000) * (killWithinMs / 1_000);
    const round = kill % 2;
    nowMs = await killOne(directory, { name, startMs: nowMs, round, afterMs });
    const bucket = crashBucket(name, 0);
    const node = await NodeFixture.at(directory, crashLimits, bucket);
    await node.clock.advance(nowMs);
    try {
      const expected = [0, 1].map((listed) => crashListing(`/${name}`, listed));
      bucket.failAfterLists = 0;
      const held = await assertWhole(node, `/${name}`, expected);
      if (round > 0) assert.equal(held, 'whole', 'what was listed once is never lost');
      bucket.failAfterLists = Number.POSITIVE_INFINITY;
      bucket.replaceWith(crashBucket(name, round));
      await node.clock.advance(1);
      assert.deepEqual(await contentOf(node, `/${name}`, null), expected[round]);
      nowMs = node.clock.monotonicMs();
      await node.metadata.handlers.detach({ path: `/${name}` }, { signal: never });
    } finally {
      await node.down();
    }
  }
});
