import assert from 'node:assert/strict';
import { test } from 'node:test';

import { decodeReply, encodeCall } from '@millpool/protocol';

import { dispatch } from './dispatch.ts';
import type { Turns } from './dispatch.ts';
import { handlersWith } from './testing/handlers.ts';

const never = new AbortController().signal;

test('a call with a large body is decoded in its turn, a small one at once', async () => {
  const waited: number[] = [];
  const turns: Turns = {
    run: (bytes, signal, work) => {
      waited.push(bytes);
      return work(signal);
    },
  };
  const handlers = handlersWith({ stat: async () => ({ results: [] }) });
  const call = (count: number): Uint8Array =>
    encodeCall('stat', { paths: Array.from({ length: count }, (_, n) => `/data/file-${n}`) }, 1_000);
  for (const body of [call(1), call(20_000)]) {
    assert.deepEqual(decodeReply('stat', await dispatch(handlers, body, never, turns)), { results: [] });
  }
  assert.deepEqual(waited, [call(20_000).length]);
});
