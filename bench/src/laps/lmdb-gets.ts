// Gets of LMDB in this process: `node lmdb-gets.js SOCKET PATH FILE`; a line is the number of a lap. FILE is made here,
// of what the daemon at SOCKET has: a path and its record is a pair, and nothing else is in it.
import { decodeEntry, encodeEntry } from '@millpool/metadata';
import { connectTransport } from '@millpool/transport';
import { open } from 'lmdb';

import { answerLaps } from './lap-lines.ts';
import { batchesOf, listedEntries } from './listed-entries.ts';

const [socket = '', path = '', file = ''] = process.argv.slice(2);
const connection = await connectTransport(socket);
const entries = await listedEntries(connection, path);
await connection.close();
const database = open<Buffer, string>({ path: file, noSubdir: true, encoding: 'binary', pageSize: 8192 });
await database.transaction(() => {
  for (const entry of entries) database.put(entry.path, encodeEntry(entry));
});

await answerLaps({
  prepare: async (line) => batchesOf(entries, Number(line)),
  async lap(batches) {
    let found = 0;
    for (const paths of batches) {
      const records = paths.map((name) => decodeEntry(database.get(name) as Buffer));
      found += records.length;
    }
    return found;
  },
});
await database.close();
