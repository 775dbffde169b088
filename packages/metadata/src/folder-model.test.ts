import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';

import { comparePaths, MillpoolError, nameOf, parentOf } from '@millpool/protocol';
import fc from 'fast-check';

import { never, NodeFixture } from './testing/node-fixture.ts';

/** What is in the folder: the size of each file, null for a directory; by path, the root as ''. */
type Model = Map<string, number | null>;

const names = ['a', 'a-b', 'a.b', 'b', 'é', '%2F', 'sp ace', '\u{1f600}', 'new\nline'];
const place = fc.array(fc.constantFrom(...names), { minLength: 1, maxLength: 3 });

const step = fc.oneof(
  { weight: 6, arbitrary: fc.record({ kind: fc.constant('write' as const), place, size: fc.nat({ max: 9 }) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('make' as const), place }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('remove' as const), place }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('list' as const), place }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('restart' as const) }) },
);
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

const pathOf = (key: string): string => (key === '' ? '/d' : `/d/${key.replaceAll('%2F', '%252F')}`);
const isBelow = (key: string, directory: string): boolean =>
  key !== '' && (directory === '' || key.startsWith(`${directory}/`));

async function write(
  model: Model,
  folder: string,
  at: { readonly key: string; readonly size: number | null },
): Promise<void> {
  const above = at.key
    .split('/')
    .slice(0, -1)
    .map((_, depth, parts) => parts.slice(0, depth + 1).join('/'));
  const isBlocked = above.some((key) => typeof model.get(key) === 'number');
  const there = model.get(at.key);
  if (isBlocked || (there !== undefined && (there === null || at.size === null))) return;
  for (const key of above) model.set(key, null);
  await mkdir(join(folder, ...above.slice(-1)), { recursive: true });
  if (at.size === null) await mkdir(join(folder, at.key));
  else await writeFile(join(folder, at.key), Buffer.alloc(at.size));
  model.set(at.key, at.size);
}

async function act(node: NodeFixture, { model, folder }: { model: Model; folder: string }, next: Step): Promise<void> {
  switch (next.kind) {
    case 'write':
      return write(model, folder, { key: next.place.join('/'), size: next.size });
    case 'make':
      return write(model, folder, { key: next.place.join('/'), size: null });
    case 'remove': {
      const key = next.place.join('/');
      if (model.has(key)) await rm(join(folder, key), { recursive: true });
      for (const other of model.keys()) if (other === key || isBelow(other, key)) model.delete(other);
      return;
    }
    case 'list': {
      const key = next.place.join('/');
      if (model.get(key) === null) await node.list(pathOf(key)).catch(notSeenYet);
      return;
    }
    case 'restart':
      await node.down();
      await node.up();
      return;
  }
}

/** Within the ttl a new directory may not be there, or still be the file that it was. */
function notSeenYet(error: unknown): void {
  assert.ok(error instanceof MillpoolError && ['not-found', 'invalid'].includes(error.code), String(error));
}

/** Every listing, walk and look-up says what the model says. */
async function compare(node: NodeFixture, model: Model): Promise<void> {
  const keys = [...model.keys()];
  const files = keys
    .filter((key) => model.get(key) !== null)
    .map(pathOf)
    .toSorted(comparePaths);
  assert.deepEqual(await node.walk('/d'), files);
  for (const directory of keys.filter((key) => model.get(key) === null)) {
    const children = keys.filter((key) => isBelow(key, directory) && parentOf(pathOf(key)) === pathOf(directory));
    const listed = await node.list(pathOf(directory), { limit: 2 });
    const expected = children
      .toSorted((left, right) => comparePaths(nameOf(pathOf(left)), nameOf(pathOf(right))))
      .map((key) => [pathOf(key), model.get(key) ?? 0, model.get(key) === null ? 'directory' : 'file']);
    assert.deepEqual(
      listed.map(({ path, size, type }) => [path, size, type]),
      expected,
    );
  }
  const results = await node.metadata.lookup([...keys, ...names].map(pathOf), never);
  for (const [at, key] of [...keys, ...names].entries()) {
    const result = results[at];
    const kind = result === undefined || 'error' in result ? result?.error.code : result.type;
    const held = model.get(key);
    assert.equal(kind, held === undefined ? 'not-found' : held === null ? 'directory' : 'file', key);
  }
}

test('a folder that changes is listed, walked and looked up as it is, once the ttl is over', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.array(step, { maxLength: 12 }), { minLength: 1, maxLength: 5 }), async (rounds) => {
      const folder = await mkdtemp(join(tmpdir(), 'millpool-model-'));
      const node = await NodeFixture.start({ shards: 8, partitionNamesMax: 3 });
      const model: Model = new Map([['', null]]);
      try {
        await node.attach(folder, '/d');
        for (const steps of rounds) {
          for (const next of steps) await act(node, { model, folder }, next);
          await node.clock.advance(60_001);
          await compare(node, model);
        }
      } finally {
        await node.remove();
        await rm(folder, { recursive: true, force: true });
      }
    }),
    { numRuns: 40 },
  );
});
