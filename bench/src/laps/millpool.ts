// A training loop that does nothing but read: `node millpool.js SOCKET PATH BATCH SEED [RANK WORLD
// [STEP_MS]]`; a line is an epoch's number. A step takes so long as if there were work.
import { setTimeout as sleep } from 'node:timers/promises';

import { connect } from '@millpool/client';

import { answerLaps } from './lap-lines.ts';

const [socket = '', path = '', batch = '', seedText = '', rankText = '0', worldText = '1', stepText = '0'] =
  process.argv.slice(2);
const [batchSize, seed] = [Number(batch), Number(seedText)];
const [rank, world, stepMs] = [Number(rankText), Number(worldText), Number(stepText)];
const mill = await connect({ socket });
const data = await mill.dataset(path);

await answerLaps({
  prepare: async (line) => data.loader({ batchSize, shuffle: true, seed, rank, world, epoch: Number(line) }),
  async lap(loader) {
    let samples = 0;
    for await (using loaded of loader) {
      samples += loaded.length;
      if (stepMs > 0) await sleep(stepMs);
    }
    return samples;
  },
});
await mill.close();
