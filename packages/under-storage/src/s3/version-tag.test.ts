import assert from 'node:assert/strict';
import { test } from 'node:test';

import { versionTag } from './version-tag.ts';

const modified = new Date('2026-01-02T03:04:05.678Z');

test('an ETag is the tag, with its quotes', () => {
  assert.equal(versionTag('"abc-3"', modified), '"abc-3"');
  assert.equal(versionTag('abc-3', undefined), '"abc-3"');
});

test('without an ETag that can be sent back it is the second of the change', () => {
  const seconds = `m:${Date.UTC(2026, 0, 2, 3, 4, 5) / 1000}`;
  for (const etag of [undefined, '', '""', 'W/"abc"', '"a"b"', '"é"', `"${'x'.repeat(2000)}"`]) {
    assert.equal(versionTag(etag, modified), seconds, String(etag));
    assert.equal(versionTag(etag, undefined), null);
    assert.equal(versionTag(etag, new Date(Number.NaN)), null);
  }
});
