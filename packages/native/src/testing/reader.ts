// A client process, or worker, of a test: reads from the daemon at argv[2], and ends as argv[3] says.
import { FlowClient } from '../flow-client.ts';
import { packObjects } from '../object-list.ts';
import { bytesOf, testFiles, timeoutMs } from './test-engine.ts';

const [, , socket = '', how = ''] = process.argv;
const client = await FlowClient.connect({ socket, timeoutMs, ringBytes: 16 * 2 ** 20 });
const files = testFiles(10);
const batch = await client.readObjects(packObjects(files), { timeoutMs });
const whole = await Promise.all(
  files.map(async (file, i) => Buffer.compare(batch.sample(i), await bytesOf(file)) === 0),
);
if (!whole.every(Boolean)) throw new Error('other bytes than the files have');

if (how === 'read' || how === 'return') {
  client.close();
} else {
  const answer = client.control(Buffer.from('wait'), { timeoutMs });
  if (how === 'exit') {
    // The daemon has the call when it answers the next one, which it reads after it.
    await client.control(Buffer.from('next'), { timeoutMs });
    process.exit(0);
  }
  await answer;
}
