import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { unpack } from 'msgpackr';
import { decodeCall, decodeReply, encodeCall, encodeFailure, encodeReply } from './codec.ts';
import { MillpoolError } from './errors.ts';
import type { ListReply } from './list.ts';
import { LayoutVector } from './testing/layout-vector.ts';
import { messageBytesMax } from './version.ts';

test('a call is plain MessagePack that any peer can read and write', () => {
  const body = encodeCall('detach', { path: '/a' }, 5_000);
  const plain = { method: 'detach', request: { path: '/a' }, timeoutMs: 5_000 };
  assert.deepEqual(unpack(body), plain);
  assert.deepEqual(decodeCall(body), plain);
  // As Python's msgpack writes it: a map of 3, strings, and the number as uint 64.
  const python = Buffer.from(
    '83a66d6574686f64a6646574616368a77265717565737481a470617468a22f61a974696d656f75744d73cf0000000000001388',
    'hex',
  );
  assert.deepEqual(decodeCall(python), plain);
});

test('messages that another program wrote are read as what they say', () => {
  const [call, ok, failure] = ['control-call', 'control-ok', 'control-error'].map((name) => LayoutVector.named(name));
  const said = (vector: LayoutVector | undefined) => JSON.parse(vector?.text('message/0/body') ?? '');
  assert.deepEqual(decodeCall(call?.bytes ?? Buffer.of()), said(call));
  assert.deepEqual(decodeReply('jobs', ok?.bytes ?? Buffer.of()), said(ok).ok);
  assert.throws(() => decodeReply('jobs', failure?.bytes ?? Buffer.of()), said(failure).error);
});

test('a reply comes back as it was, numbers beyond 2^32, bytes and text of any script', () => {
  const reply: ListReply = {
    entries: Uint8Array.of(0, 255, 1),
    cursor: null,
    ageSeconds: 0.5,
    changed: false,
  };
  const { entries, ...rest } = decodeReply('list', encodeReply(reply));
  assert.deepEqual([...entries], [0, 255, 1]);
  assert.deepEqual(rest, { cursor: null, ageSeconds: 0.5, changed: false });
  const { objects } = decodeReply('resolve', encodeReply({ objects: Uint8Array.of(1, 2, 3), failures: [] }));
  assert.deepEqual([...objects], [1, 2, 3]);
});

test('an error comes back as the same error; a code of a newer peer as internal', () => {
  const shape = { code: 'source-changed', message: 'm', remedy: 'r', path: '/p' } as const;
  assert.throws(() => decodeReply('jobs', encodeFailure(new MillpoolError(shape))), shape);
  assert.throws(() => decodeReply('jobs', encodeFailure(new TypeError('x'))), { code: 'internal', message: 'x' });
  const newer = Buffer.from('81a56572726f7283a4636f6465a36e6577a76d657373616765a16da672656d656479a172', 'hex');
  assert.throws(() => decodeReply('jobs', newer), { code: 'internal', message: 'm', remedy: 'r' });
});

test('a deadline is part of every call', () => {
  for (const timeoutMs of [0, -1, 1.5, Number.NaN, 86_400_001, 2 ** 60]) {
    assert.throws(() => decodeCall(encodeCall('jobs', {}, timeoutMs)), { code: 'invalid', message: /timeoutMs/ });
  }
});

test('what is no call is invalid, whatever the bytes; what is no reply is an error', () => {
  fc.assert(
    fc.property(fc.oneof(fc.uint8Array({ maxLength: 64 }), mutatedCalls()), (body) => {
      for (const decode of [() => decodeCall(body), () => decodeReply('jobs', body)]) {
        try {
          decode();
        } catch (error) {
          assert.ok(error instanceof MillpoolError, String(error));
        }
      }
    }),
    { numRuns: 5_000 },
  );
  assert.throws(() => decodeCall(new Uint8Array()), { code: 'invalid' });
  assert.throws(() => decodeCall(Buffer.alloc(1_000_000, 0x91)), { code: 'invalid' });
  assert.throws(() => decodeReply('jobs', encodeCall('jobs', {}, 1)), { code: 'invalid' });
});

function mutatedCalls(): fc.Arbitrary<Uint8Array> {
  const body = encodeCall('list', { path: '/a/b', recursive: true, cursor: 'c', limit: 9 }, 1_000);
  return fc.tuple(fc.nat(body.length - 1), fc.nat(255), fc.nat(body.length)).map(([at, byte, length]) => {
    const mutated = Uint8Array.from(body);
    mutated[at] = byte;
    return mutated.subarray(0, length);
  });
}

test('a message over the limit is refused where it is made, and where it arrives', () => {
  assert.throws(() => decodeReply('resolve', encodeReply({ objects: new Uint8Array(messageBytesMax) })), {
    code: 'invalid',
    message: /bytes/,
  });
  assert.throws(() => decodeCall(new Uint8Array(messageBytesMax + 1)), { code: 'invalid' });
});
