import assert from 'node:assert/strict';
import { execFile, spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';

import { LayoutVector } from '@millpool/protocol/testing';

import { codeName, constantIn, fixed, tablesOf } from './document.ts';

const root = resolve(import.meta.dirname, '../../..');
const textOf = (path: string): string => readFileSync(join(root, path), 'utf8');
const tables = tablesOf(textOf('docs/formats.md'));

/** Of the vectors, what is no structure: it has no table. */
const bare = new Set(['keys', 'payload', 'message', 'end', 'cancel']);

interface Placed {
  readonly at: number;
  readonly size: number;
  readonly name: string;
}

/** Each structure of the vectors, instance by instance, with places from its own start. */
function structures(): Map<string, Placed[][]> {
  const found = new Map<string, Placed[][]>();
  for (const { fields } of LayoutVector.all()) {
    const instances = new Set(fields.map(({ path }) => path.slice(0, path.lastIndexOf('/') + 1)));
    for (const instance of instances) {
      const members = fields.filter(({ path }) => path.startsWith(instance));
      const start = members[0]?.at ?? 0;
      const placed = members.map(({ at, size, path }) => ({ at: at - start, size, name: path.slice(instance.length) }));
      const struct = instance.slice(0, instance.indexOf('/'));
      if (!bare.has(struct)) found.set(struct, [...(found.get(struct) ?? []), placed]);
    }
  }
  return found;
}

/** Tables of the document whose third column is headed by a structure's name. */
function describedStructures(): Map<string, readonly (readonly string[])[]> {
  const described = tables.filter(({ head }) => head[0] === 'at' && head[1] === 'bytes');
  return new Map(described.map(({ head, rows }) => [codeName(head[2] ?? '') ?? head.join(), rows]));
}

test('each layout is described once, field by field, where the vectors have it', () => {
  const described = describedStructures();
  const written = structures();
  assert.deepEqual([...described.keys()].toSorted(), [...written.keys()].toSorted());
  for (const [struct, instances] of written) {
    const rows = described.get(struct) ?? [];
    for (const placed of instances) {
      for (const field of placed)
        assert.ok(
          rows.some((row) => agrees(row, field)),
          `${struct}: ${JSON.stringify(field)}`,
        );
    }
    const unseen = rows.filter((row) => !instances.flat().some((field) => agrees(row, field)));
    assert.deepEqual(unseen, [], `${struct} has fields that no vector has`);
  }
});

/** A row names the field, then says more; a place or size that depends on another field is a formula. */
function agrees([at = '', bytes = '', what = '']: readonly string[], field: Placed): boolean {
  const named = what === field.name || /^[\s:;,.]/.test(what.slice(field.name.length));
  const [place, size] = [fixed(at) ?? field.at, fixed(bytes) ?? field.size];
  return what.startsWith(field.name) && named && place === field.at && size === field.size;
}

test('the kinds of frames are those of the code', () => {
  const kinds = tables.find(({ head }) => head[0] === 'kind')?.rows.map(([kind]) => kind);
  const source = textOf('native/flow/src/frame.rs');
  const inCode = Array.from(/enum Kind \{([^}]*)\}/.exec(source)?.[1]?.matchAll(/(\w+) = (\d+),/g) ?? [], (match) => {
    const name = (match[1] ?? '').replaceAll(/(?<=[a-z])(?=[A-Z])/g, '_').toUpperCase();
    return `${match[2]} ${name}`;
  });
  assert.ok(inCode.length > 0);
  assert.deepEqual(kinds, inCode);
});

test('the limits are those of the code', () => {
  const limits = tables.find(({ head }) => head[0] === 'constant')?.rows ?? [];
  assert.ok(limits.length >= 10);
  for (const [name = '', value = '', , file = ''] of limits) {
    const constant = codeName(name) ?? '';
    const inCode = constantIn(textOf(file.replaceAll('`', '')), constant);
    assert.equal(inCode, fixed(value), `${constant} of ${file}`);
  }
});

test('the vectors are what their writers print', async (t) => {
  if (spawnSync('python3', ['--version']).error !== undefined) return t.skip('python3 is not installed');
  for (const name of ['layouts', 'order']) {
    const script = join(root, `test/vectors/${name}.py`);
    const { stdout } = await promisify(execFile)('python3', ['-B', script], { timeout: 60_000, maxBuffer: 1 << 24 });
    assert.ok(stdout === textOf(`test/vectors/${name}.tsv`), `${name}.tsv`);
  }
});
