// Gets of Redis: `node redis-gets.js SOCKET PATH REDIS METHOD`; a line is the number of a lap. What
// the daemon at SOCKET
// has is put there first, as values of the same bytes and as fields of one hash.
import { decodeEntry, encodeEntry } from '@millpool/metadata';
import { connectTransport } from '@millpool/transport';
import { Redis } from 'ioredis';
import { createClient, RESP_TYPES } from 'redis';

import { answerLaps } from './lap-lines.ts';
import { batchesOf, listedEntries } from './listed-entries.ts';

const [socket = '', path = '', redisSocket = '', method = ''] = process.argv.slice(2);
const hash = 'entries';
const putAtOnce = 1_000;

type Gets = (paths: readonly string[]) => Promise<readonly unknown[]>;

const connection = await connectTransport(socket);
const entries = await listedEntries(connection, path);
await connection.close();

const plain = createClient({ socket: { path: redisSocket, tls: false } });
await plain.connect();
const client = plain.withTypeMapping({ [RESP_TYPES.BLOB_STRING]: Buffer });
const other = new Redis(redisSocket);

const methods: Readonly<Record<string, Gets>> = {
  'redis GET': (paths) => Promise.all(paths.map((name) => client.get(name))),
  'redis MGET': (paths) => client.mGet([...paths]),
  'redis HMGET': (paths) => client.hmGet(hash, [...paths]),
  'ioredis GET': async (paths) => {
    const pipeline = other.pipeline();
    for (const name of paths) pipeline.getBuffer(name);
    return ((await pipeline.exec()) ?? []).map(([, value]) => value);
  },
  'ioredis MGET': (paths) => other.mgetBuffer([...paths]),
  'ioredis HMGET': (paths) => other.hmgetBuffer(hash, ...paths),
};

for (let at = 0; at < entries.length; at += putAtOnce) {
  const some = entries.slice(at, at + putAtOnce).map((entry) => [entry.path, encodeEntry(entry)] as const);
  await Promise.all([client.mSet(some.flat()), other.hset(hash, new Map(some))]);
}

const gets = methods[method];
if (gets === undefined) throw new Error(`there is no way ${method}`);
await answerLaps({
  prepare: async (line) => batchesOf(entries, Number(line)),
  async lap(batches) {
    let found = 0;
    for (const paths of batches) {
      const records = (await gets(paths)).map((value) => decodeEntry(value as Buffer));
      found += records.length;
    }
    return found;
  },
});
await plain.close();
other.disconnect();
