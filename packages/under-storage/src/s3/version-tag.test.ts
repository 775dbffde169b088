import assert from 'node:assert/strict';
import { test } from 'node:test';

import { versionTag } from './version-tag.ts';

const modified = Date.UTC(2026, 0, 2, 3, 4, 5, 678);

test('an ETag is the tag, with its quotes', () => {
  assert.equal(versionTag('"abc-3"', modified), '"abc-3"');
  assert.equal(versionTag('abc-3', null), '"abc-3"');
});

test('without an ETag that can be sent back it is the second of the change', () => {
  const seconds = `m:${Date.UTC(2026, 0, 2, 3, 4, 5) / 1000}`;
  for (const etag of [undefined, '', '""', 'W/"abc"', '"a"b"', '"é"', `"${'x'.repeat(2000)}"`]) {
    assert.equal(versionTag(etag, modified), seconds, String(etag));
    assert.equal(versionTag(etag, null), null);
    assert.equal(versionTag(etag, Number.NaN), null);
  }
});
