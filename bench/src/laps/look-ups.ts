// Look-ups at a daemon: `node look-ups.js SOCKET PATH`; a line is the number of a lap. SOCKET is the one for control
// messages. An answer counts once its entries are objects of JavaScript.
import { unpackObjects } from '@millpool/native';
import { connectTransport } from '@millpool/transport';

import { answerLaps } from './lap-lines.ts';
import { batchesOf, listedEntries } from './listed-entries.ts';

const [socket = '', path = ''] = process.argv.slice(2);
const connection = await connectTransport(socket);
const entries = await listedEntries(connection, path);

await answerLaps({
  prepare: async (line) => batchesOf(entries, Number(line)),
  async lap(batches) {
    let found = 0;
    for (const paths of batches) {
      const { objects } = await connection.call('resolve', { paths, atSource: false });
      found += unpackObjects(objects).length;
    }
    return found;
  },
});
await connection.close();
