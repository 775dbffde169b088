// All of an LMDB file in one range, in this process: `node lmdb-scan.js FILE COUNT`; any line is a lap. FILE is made
// here: a path and its record is a pair, and nothing else is in it.
import { createHash } from 'node:crypto';

import { decodeEntry, encodeEntry } from '@millpool/metadata';
import { open } from 'lmdb';

import { keyOf } from '../object-server.ts';
import { answerLaps } from './lap-lines.ts';

const [file = '', countText = ''] = process.argv.slice(2);
const count = Number(countText);
const database = open<Buffer, string>({ path: file, noSubdir: true, encoding: 'binary', pageSize: 8192 });
await database.transaction(() => {
  for (let at = 0; at < count; at += 1) {
    const tag = `"${createHash('md5').update(String(at)).digest('hex')}"`;
    database.put(`/${keyOf(at)}`, encodeEntry({ type: 'file', size: 1_024, mtimeMs: 1_700_000_000_000, tag }));
  }
});

await answerLaps({
  prepare: async () => undefined,
  async lap() {
    let found = 0;
    let bytes = 0;
    for (const { value } of database.getRange({})) {
      bytes += decodeEntry(value).size;
      found += 1;
    }
    if (bytes !== found * 1_024) throw new Error(`${found} entries of ${bytes} bytes`);
    return found;
  },
});
await database.close();
