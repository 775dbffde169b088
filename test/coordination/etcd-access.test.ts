import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';

import { openEtcdStore } from '@millpool/coordination/etcd';
import { MillpoolError } from '@millpool/protocol';

import { temporaryFolder } from '../harness/temporary-folder.ts';
import { certify } from '../harness/test-authority.ts';
import { always, etcdOf, isAmbiguous, put, storeOf, testWithEtcds, unending } from './etcd-bed.ts';

testWithEtcds('an address', {
  'of which one host answers is served by it; where none does, all are named': async (t, binary) => {
    const etcd = await etcdOf(t, { binary });
    const store = await openEtcdStore(`etcd://127.0.0.1:1,${etcd.endpoint}`);
    t.after(() => store.close());
    await store.txn(always(put('/a', 'x')));
    await assert.rejects(openEtcdStore('etcd://127.0.0.1:1,127.0.0.1:2', { callTimeoutMs: 600 }), {
      code: 'unreachable',
      message: 'no etcd answers at 127.0.0.1:1, 127.0.0.1:2',
    });
  },
  'that names two clusters is refused before anything is asked of the second': async (t, binary) => {
    const one = await etcdOf(t, { binary });
    const other = await etcdOf(t, { binary, args: ['--initial-cluster-token', 'another'] });
    const store = await storeOf(t, one, other);
    await store.txn(always(put('/a', 'x')));
    await one.kill();
    for (;;) {
      const thrown: unknown = await store.txn(always(put('/b', 'x'))).then(String, (error: unknown) => error);
      if (isAmbiguous(thrown)) continue;
      assert.ok(thrown instanceof MillpoolError && /of another cluster/.test(thrown.message), String(thrown));
      break;
    }
    assert.equal(await (await storeOf(t, other)).get('/b'), null, 'nothing was written there');
  },
  'may have a prefix, and two prefixes are two stores': async (t, binary) => {
    const etcd = await etcdOf(t, { binary });
    const one = await openEtcdStore(`etcd://${etcd.endpoint}/one`);
    const other = await openEtcdStore(`etcd://${etcd.endpoint}/other/`);
    t.after(() => Promise.all([one.close(), other.close()]));
    await one.txn(always(put('/a', 'x')));
    assert.equal(await other.get('/a'), null);
    await other.txn(always({ kind: 'delete-prefix', prefix: '' }));
    assert.notEqual(await one.get('/a'), null);
  },
});

testWithEtcds('etcd', {
  'says that it is full, with what to do, and is read on': async (t, binary) => {
    const etcd = await etcdOf(t, { binary, args: ['--quota-backend-bytes', String(1 << 20)] });
    const store = await storeOf(t, etcd);
    const value = Buffer.alloc(200_000, 1);
    const fill = async (): Promise<void> => {
      for (let number = 0; number < 50; number += 1) await store.txn(always({ kind: 'put', key: `/${number}`, value }));
    };
    await assert.rejects(fill(), (thrown) => {
      assert.ok(thrown instanceof MillpoolError);
      assert.equal(thrown.code, 'full');
      assert.match(thrown.remedy, /alarm disarm/);
      return true;
    });
    assert.equal((await store.get('/0'))?.value.length, value.length);
  },
  'asks for a password, and a token that it forgot is renewed': async (t, binary) => {
    const etcd = await etcdOf(t, { binary });
    await etcd.ask('auth/user/add', { name: 'root', password: 'secret: 1/2' });
    await etcd.ask('auth/role/add', { name: 'root' });
    await etcd.ask('auth/user/grant', { user: 'root', role: 'root' });
    await etcd.ask('auth/enable', {});
    for (const login of ['', 'root:wrong@', 'nobody:x@']) {
      await assert.rejects(openEtcdStore(`etcd://${login}${etcd.endpoint}`), { code: 'refused' }, login);
    }
    const store = await openEtcdStore(`etcd://root:${encodeURIComponent('secret: 1/2')}@${etcd.endpoint}`);
    t.after(() => store.close());
    const { revision } = await store.txn(always(put('/a', 'x')));
    const lease = await store.grantLease(60);
    // Its tokens are in its memory.
    await etcd.kill();
    await assert.rejects(store.keepLease(lease.id), isAmbiguous);
    await etcd.restart();
    assert.equal((await store.keepLease(lease.id)).id, lease.id, 'before any other call');
    await store.txn(always(put('/a', 'y')));
    const seen: number[] = [];
    for await (const change of store.watch({ prefix: '/a', fromRevision: revision, signal: unending })) {
      seen.push(change.revision);
      if (seen.length === 2) break;
    }
    assert.deepEqual(seen, [revision, revision + 1]);
  },
  'takes a watch up again that has nothing but a token it forgot': async (t, binary) => {
    const etcd = await etcdOf(t, { binary });
    await etcd.ask('auth/user/add', { name: 'root', password: 'secret' });
    await etcd.ask('auth/role/add', { name: 'root' });
    await etcd.ask('auth/user/grant', { user: 'root', role: 'root' });
    await etcd.ask('auth/enable', {});
    const [watcher, writer] = await Promise.all(
      ['watcher', 'writer'].map(() => openEtcdStore(`etcd://root:secret@${etcd.endpoint}`)),
    );
    if (watcher === undefined || writer === undefined) throw new RangeError('two stores');
    t.after(() => Promise.all([watcher.close(), writer.close()]));
    const { revision } = await writer.txn(always(put('/a', 'x')));
    const seen: number[] = [];
    for await (const change of watcher.watch({ prefix: '/a', fromRevision: revision, signal: unending })) {
      seen.push(change.revision);
      if (seen.length === 2) break;
      await etcd.kill();
      await etcd.restart();
      await writer.txn(always(put('/a', 'y')));
    }
    assert.deepEqual(seen, [revision, revision + 1]);
  },
  'speaks TLS by an authority of its own, and asks for a certificate': async (t, binary) => {
    const folder = await temporaryFolder('etcd-tls');
    t.after(() => folder.remove());
    const certified = await certify(folder.path);
    if (certified === null) return t.skip('there is no openssl');
    const etcd = await etcdOf(t, { binary, tls: certified });
    const authority = await readFile(certified.authority);
    const client = { certificate: await readFile(certified.certificate), key: await readFile(certified.key) };
    const address = `etcds://${etcd.endpoint}`;
    const store = await openEtcdStore(address, { tls: { authority, client } });
    t.after(() => store.close());
    await store.txn(always(put('/a', 'x')));
    const quick = { callTimeoutMs: 1_000 };
    for (const config of [quick, { ...quick, tls: { authority, client: null } }]) {
      await assert.rejects(openEtcdStore(address, config), { code: 'unreachable' });
    }
    await assert.rejects(openEtcdStore(`etcd://${etcd.endpoint}`, quick), { code: 'unreachable' });
  },
});
