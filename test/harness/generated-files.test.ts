import assert from 'node:assert/strict';
import { test } from 'node:test';

import { generatedFiles } from './generated-files.ts';

test('a seed decides names, sizes and bytes', () => {
  const options = { count: 1200, seed: 3, bytesMin: 20, bytesMax: 200 };
  const files = [...generatedFiles(options)];
  assert.deepEqual(files, [...generatedFiles(options)]);
  assert.deepEqual([files[0]?.name, files[1199]?.name], ['part-000/file-000000.bin', 'part-001/file-001199.bin']);
  const sizes = files.map(({ bytes }) => bytes.length);
  assert.ok(Math.min(...sizes) >= 20 && Math.max(...sizes) <= 200 && new Set(sizes).size > 100);
  assert.notDeepEqual(files[0], [...generatedFiles({ ...options, seed: 4 })][0]);
});
