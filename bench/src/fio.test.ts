import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';

import { benchProgram, repository } from './bench-program.ts';
import { fioMethods, fioReads, nameOf, whyNoFio } from './fio.ts';

const run = promisify(execFile);

test('fio reads as many blocks as there are, by every method, and says what it cost', async (t) => {
  // Beside the code, which is on a device more often than /tmp is.
  const directory = await mkdtemp(join(repository, 'native/target/fio-'));
  t.after(() => rm(directory, { recursive: true, force: true }));
  const blocks = { directory: join(directory, 'packed'), count: 64, sizeBytes: 20 << 10 };
  await run(benchProgram, ['samples', directory, String(blocks.count), String(blocks.sizeBytes)]);
  const why = await whyNoFio(blocks.directory);
  if (why !== null) return t.skip(why);
  for (const method of fioMethods) {
    const reads = await fioReads(blocks, method, t.signal);
    const { samples, seconds, cpuSeconds } = await reads.lap(0);
    assert.equal(samples, blocks.count, nameOf(method));
    assert.ok(seconds > 0 && cpuSeconds >= 0, nameOf(method));
  }
  return undefined;
});
