import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Metadata, status } from '@grpc/grpc-js';
import type { ServiceError } from '@grpc/grpc-js';

import { etcdFailure, isStaleToken } from './etcd-error.ts';

const failed = (code: status, details: string): ServiceError =>
  Object.assign(new Error(details), { code, details, metadata: new Metadata() });
const codeOf = (code: status, details: string): string => etcdFailure(failed(code, details), 'host:1', 'a test').code;

test('a call that came to nothing without a word of etcd may have been done', () => {
  for (const code of [status.UNAVAILABLE, status.CANCELLED, status.UNKNOWN, status.INTERNAL, status.ABORTED]) {
    assert.equal(codeOf(code, 'context canceled'), 'unreachable', status[code]);
  }
  assert.equal(codeOf(status.DEADLINE_EXCEEDED, ''), 'timeout');
});

test('what etcd has refused was not done', () => {
  assert.equal(codeOf(status.RESOURCE_EXHAUSTED, 'etcdserver: mvcc: database space exceeded'), 'full');
  assert.equal(codeOf(status.PERMISSION_DENIED, 'etcdserver: permission denied'), 'refused');
  assert.equal(codeOf(status.FAILED_PRECONDITION, 'etcdserver: authentication is not enabled'), 'refused');
  assert.equal(codeOf(status.NOT_FOUND, 'etcdserver: requested lease not found'), 'not-found');
  assert.equal(codeOf(status.INVALID_ARGUMENT, 'etcdserver: request is too large'), 'internal');
});

test('a token is stale when etcd does not know it, or has other users since', () => {
  assert.ok(isStaleToken(failed(status.UNAUTHENTICATED, 'etcdserver: invalid auth token')));
  assert.ok(isStaleToken(failed(status.INVALID_ARGUMENT, 'etcdserver: revision of auth store is old')));
  assert.ok(!isStaleToken(failed(status.PERMISSION_DENIED, 'etcdserver: permission denied')));
});
