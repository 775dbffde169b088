import assert from 'node:assert/strict';
import { test } from 'node:test';

import { parseEtcdAddress, withoutPassword } from './etcd-address.ts';

test('an address names hosts, a login and a prefix, each but the first with a default', () => {
  assert.deepEqual(parseEtcdAddress('etcd://one'), {
    endpoints: ['one:2379'],
    isTls: false,
    login: null,
    prefix: '/millpool/',
  });
  assert.deepEqual(parseEtcdAddress('etcds://u:p%40%3A%25@10.0.0.1:1,[::1]:2,[fe80::1]/team/a/'), {
    endpoints: ['10.0.0.1:1', '[::1]:2', '[fe80::1]:2379'],
    isTls: true,
    login: { user: 'u', password: 'p@:%' },
    prefix: '/team/a/',
  });
  assert.equal(parseEtcdAddress('etcd://one///').prefix, '/millpool/');
});

for (const wrong of [
  'one:2379',
  'http://one',
  'etcd://',
  'etcd://one,',
  'etcd://one:0',
  'etcd://one:65536',
  'etcd://one:x',
  'etcd://[::1',
  'etcd://u@one',
  'etcd://:p@one',
  'etcd://u:p:q@one',
  'etcd://u:%zz@one',
]) {
  test(`${wrong} is refused, with how it is written`, () => {
    assert.throws(() => parseEtcdAddress(wrong), { code: 'invalid', remedy: /etcd:[/][/]HOST:2379/ });
  });
}

test('messages hide the password', () => {
  assert.equal(withoutPassword('etcd://u:secret@one:1'), 'etcd://u:…@one:1');
  assert.throws(
    () => parseEtcdAddress('etcd://u:secret@one:x'),
    (thrown) => !String(thrown).includes('secret'),
  );
});
