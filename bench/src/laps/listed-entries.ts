import { Order } from '@millpool/native';
import { unpackEntries } from '@millpool/protocol';
import type { Entry, ListReply } from '@millpool/protocol';
import type { TransportConnection } from '@millpool/transport';

import { seed } from '../sample-order.ts';

/** Names of one look-up. */
const batchSize = 256;
const batchesALap = 100;
const entriesAPage = 10_000;

/** What a directory holds; a daemon that had listed it already answers by what it has stored. */
export async function listedEntries({ call }: TransportConnection, path: string): Promise<readonly Entry[]> {
  const entries: Entry[] = [];
  for (let cursor: string | null = null, more = true; more; more = cursor !== null) {
    const page: ListReply = await call('list', { path, recursive: false, cursor, limit: entriesAPage });
    entries.push(...unpackEntries(page.entries));
    cursor = page.cursor;
  }
  return entries;
}

/** The paths that lap `number` looks up, batch by batch: everybody who has the same entries looks up the same. */
export function batchesOf(entries: readonly Entry[], number: number): readonly (readonly string[])[] {
  const order = new Order({ count: entries.length, seed, epoch: number, shuffle: true });
  const paths = [...order.samples(0, batchSize * batchesALap)].map((at) => (entries[at] as Entry).path);
  return Array.from({ length: batchesALap }, (_, batch) => paths.slice(batch * batchSize, (batch + 1) * batchSize));
}
