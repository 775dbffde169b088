// A training job that comes back: `node resume.js SOCKET PATH`; a line is a loader's state, a lap is from connecting to
// the first batch after it.
import { connect } from '@millpool/client';
import type { LoaderState, Mill } from '@millpool/client';

import { answerLaps } from './lap-lines.ts';

const [socket = '', path = ''] = process.argv.slice(2);
let mill: Mill | null = null;

await answerLaps({
  prepare: async (line) => JSON.parse(line) as LoaderState,
  async lap(state) {
    mill = await connect({ socket });
    const version = state.datasets[0]?.version ?? '';
    const data = await mill.dataset(path, { version });
    for await (using batch of data.loader({ resume: state })) return batch.length;
    return 0;
  },
});
await (mill as Mill | null)?.close();
