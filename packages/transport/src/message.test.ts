import assert from 'node:assert/strict';
import { test } from 'node:test';

import { LayoutVector } from '@millpool/protocol/testing';
import fc from 'fast-check';

import { decodeMessage, encodeMessage, idMax } from './message.ts';

test('a message has the bytes of docs/formats.md', () => {
  for (const kind of ['call', 'reply', 'cancel'] as const) {
    const vector = LayoutVector.named(`ws-${kind}`);
    const message = { kind, id: vector.number('ws-message/0/id'), body: vector.part('ws-message/0/body') };
    assert.deepEqual(Buffer.from(encodeMessage(message)), vector.bytes);
    assert.deepEqual(decodeMessage(vector.bytes), message);
  }
});

test('decoding undoes encoding, and any other bytes are no message', () => {
  const kind = fc.constantFrom('call' as const, 'reply' as const, 'cancel' as const);
  fc.assert(
    fc.property(kind, fc.nat(idMax), fc.uint8Array({ maxLength: 40 }), (each, id, bytes) => {
      const body = Buffer.from(bytes);
      assert.deepEqual(decodeMessage(Buffer.from(encodeMessage({ kind: each, id, body }))), { kind: each, id, body });
      const read = decodeMessage(body);
      assert.equal(read === null, body.length < 5 || body.readUInt8() > 2);
    }),
  );
});
