import assert from 'node:assert/strict';
import { test } from 'node:test';

import { comparePaths, parentOf } from '@millpool/protocol';
import fc from 'fast-check';

import { OpenDirectories } from './files-below.ts';

const name = fc.string({ unit: fc.constantFrom('a', 'b', '-', '.x', '0'), minLength: 1, maxLength: 3 });
const path = fc.array(name, { minLength: 1, maxLength: 4 }).map((names) => `/r/${names.join('/')}`);

function above(file: string, root: string): string[] {
  return file === root ? [] : [...above(parentOf(file), root), parentOf(file)];
}

test('each directory with a file below it is entered once, before its files, and left once, after them', () => {
  const files = fc.uniqueArray(path, { maxLength: 30 }).map((paths) => paths.toSorted(comparePaths));
  fc.assert(
    fc.property(files, fc.constantFrom('/r', '/'), (sorted, root) => {
      const directories = new OpenDirectories(root);
      const open: string[] = [];
      const seen = new Set<string>();
      for (const file of sorted) {
        const { left, entered } = directories.next(file);
        for (const directory of left) assert.equal(open.pop(), directory);
        for (const directory of entered) {
          assert.ok(!seen.has(directory), `${directory} is entered once`);
          seen.add(directory);
          open.push(directory);
        }
        assert.deepEqual(open, above(file, root));
      }
      for (const directory of directories.end()) assert.equal(open.pop(), directory);
      assert.deepEqual(open, []);
    }),
  );
});

test('a file that is itself the root lies in no directory', () => {
  const directories = new OpenDirectories('/r/a.png');
  assert.deepEqual(directories.next('/r/a.png'), { left: [], entered: [] });
  assert.deepEqual(directories.end(), []);
});
