// A training loop that does nothing but read: `node millpool.js SOCKET PATH BATCH SEED`; a line is an epoch's number.
import { connect } from '@millpool/client';

import { answerLaps } from './lap-lines.ts';

const [socket = '', path = '', batch = '', seedText = ''] = process.argv.slice(2);
const [batchSize, seed] = [Number(batch), Number(seedText)];
const mill = await connect({ socket });
const data = await mill.dataset(path);

await answerLaps({
  prepare: async (line) => data.loader({ batchSize, shuffle: true, seed, epoch: Number(line) }),
  async lap(loader) {
    let samples = 0;
    for await (using loaded of loader) samples += loaded.length;
    return samples;
  },
});
await mill.close();
