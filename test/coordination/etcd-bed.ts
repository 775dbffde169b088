import { describe, test } from 'node:test';
import type { TestContext } from 'node:test';

import type { CoordStore, Operation, Txn } from '@millpool/coordination';
import { openEtcdStore } from '@millpool/coordination/etcd';
import { MillpoolError } from '@millpool/protocol';

import { ensureEtcd } from '../harness/etcd-binary.ts';
import { Etcd } from '../harness/etcd.ts';
import type { EtcdOptions } from '../harness/etcd.ts';
import { ensureOldEtcd } from '../harness/old-etcd.ts';
import { temporaryFolder } from '../harness/temporary-folder.ts';

const say = (text: string): void => void process.stderr.write(`${text}\n`);
const built = await ensureEtcd({ say });
const old = await ensureOldEtcd({ say });

/** Of the program of an etcd. */
export type EtcdTest = (t: TestContext, binary: string) => Promise<void>;

/** Tests, by name, with each etcd that there may be. */
export function testWithEtcds(title: string, tests: Readonly<Record<string, EtcdTest>>): void {
  for (const [which, had] of [
    ['etcd', built],
    ["Debian's etcd", old],
  ] as const) {
    describe(`${title}, by ${which}`, { skip: had.kind === 'unavailable' && had.why, concurrency: 4 }, () => {
      if (had.kind === 'unavailable') return;
      for (const [name, run] of Object.entries(tests)) test(name, { timeout: 120_000 }, (t) => run(t, had.what));
    });
  }
}

export async function membersOf(
  t: TestContext,
  count: number,
  options: Omit<EtcdOptions, 'directory'>,
): Promise<Etcd[]> {
  const folder = await temporaryFolder('etcd');
  t.after(() => folder.remove());
  const members = await Etcd.startMembers(count, { ...options, directory: folder.path });
  t.after(() => Promise.all(members.map((member) => member.stop())));
  return members;
}

export async function etcdOf(t: TestContext, options: Omit<EtcdOptions, 'directory'>): Promise<Etcd> {
  const [alone] = await membersOf(t, 1, options);
  if (alone === undefined) throw new RangeError('one member');
  return alone;
}

export function addressOf(...members: readonly Etcd[]): string {
  return `etcd://${members.map(({ endpoint }) => endpoint).join()}`;
}

export async function storeOf(t: TestContext, ...members: readonly Etcd[]): Promise<CoordStore> {
  const store = await openEtcdStore(addressOf(...members), { callTimeoutMs: 3_000 });
  t.after(() => store.close());
  return store;
}

export const unending: AbortSignal = new AbortController().signal;

export const put = (key: string, value: string, lease?: number): Operation => ({
  kind: 'put',
  key,
  value: Buffer.from(value),
  ...(lease === undefined ? {} : { lease }),
});

export const always = (...then: readonly Operation[]): Txn => ({ compare: [], then, otherwise: [] });

/** It may have been done. */
export function isAmbiguous(thrown: unknown): boolean {
  return thrown instanceof MillpoolError && ['timeout', 'unreachable'].includes(thrown.code);
}
