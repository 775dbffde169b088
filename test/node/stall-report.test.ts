import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { join, resolve } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { promisify } from 'node:util';

import { connect } from '@millpool/client';
import type { Dataset, Loader, LoaderOptions, Mill, Report } from '@millpool/client';
import { waitCauses } from '@millpool/protocol';
import type { Status } from '@millpool/protocol';

import { objectsOf } from '../harness/command-output.ts';
import { objectGets } from '../harness/fault.ts';
import { FolderNode } from '../harness/folder-node.ts';
import type { MillpoolNode } from '../harness/millpool-process.ts';
import { S3Bed } from '../harness/s3-bed.ts';
import { seededBytes } from '../harness/seeded-random.ts';
import { ensureVersitygw } from '../harness/versitygw-binary.ts';

const run = promisify(execFile);
const versitygw = await ensureVersitygw({ say: (text) => void process.stderr.write(`${text}\n`) });
const noServer = versitygw.kind === 'unavailable' ? versitygw.why : false;
const miB = 2 ** 20;

/** Drops files from the page cache and counts what stays (native/bench). */
const uncacheProgram = join(
  process.env['CARGO_TARGET_DIR'] ?? resolve(import.meta.dirname, '../../../native/target'),
  'release/millpool-bench',
);

/** An epoch whose loop works so long on each batch; it keeps the processor, as a loop in JavaScript does. */
async function epoch(loader: Loader, workMs = 0): Promise<Report> {
  for await (const batch of loader) {
    batch.release();
    for (const endMs = performance.now() + workMs; performance.now() < endMs;) Math.sqrt(endMs);
  }
  return loader.report();
}

function worstOf({ waitSeconds }: Report): string | undefined {
  return waitCauses.toSorted((a, b) => waitSeconds[b] - waitSeconds[a])[0];
}

function assertSound(report: Report): void {
  const { tiers, samples, bytes, waitSeconds, seconds } = report;
  const all = [tiers.memory, tiers.device, tiers.source];
  assert.equal(
    all.reduce((sum, tier) => sum + tier.samples, 0),
    samples,
  );
  assert.equal(
    all.reduce((sum, tier) => sum + tier.bytes, 0),
    bytes,
  );
  const waited = waitCauses.reduce((sum, cause) => sum + waitSeconds[cause], 0);
  assert.ok(waited <= seconds * 1.001, `${waited} of ${seconds} s`);
}

describe('what a loop over resident samples waits for', () => {
  let node: FolderNode;
  let mill: Mill;
  let data: Dataset;
  const options: LoaderOptions = { batchSize: 48, shuffle: true, seed: 5 };

  before(async () => {
    node = await FolderNode.start('stalls', { files: 480, seed: 3, bytesMin: 120_000, bytesMax: 120_000 });
    assert.equal((await node.run('load', node.root, '--wait')).code, 0);
    mill = await connect({ socket: node.socket });
    data = await mill.dataset(node.root);
  });
  after(async () => {
    await mill.close();
    await node.stop();
  });

  test('device: the first pass over segments that are not in memory', async (t) => {
    const segments = join(node.node.dataDirectory, 'segments');
    const left = await run(uncacheProgram, ['uncache', segments]).then(
      () => '',
      (error: Error) => error.message,
    );
    if (left !== '') return t.skip(`segments here stay in memory: ${left.slice(0, 200)}`);
    const report = await epoch(data.loader(options));
    assertSound(report);
    assert.equal(worstOf(report), 'device', String(report));
    assert.ok(report.tiers.device.samples > data.length / 2, String(report));
    assert.match(report.advice, /waits for the cache device.*--data DIR again/);
  });

  test('gather: a loop that does nothing, and memory', async () => {
    // Batches so large that handing them over is nothing beside copying them.
    const loader = data.loader({ ...options, batchSize: 240 });
    // Pages that the machine took back meanwhile come from the device again; then all is in memory.
    for (let n = 0; n < 20; n += 1) await epoch(loader);
    const report = loader.report();
    assertSound(report);
    assert.equal(worstOf(report), 'gather', String(report));
    assert.ok((report.ceilings.gather ?? 0) >= report.samplesPerSecond);
    assert.ok((report.ceilings.step ?? 0) > report.samplesPerSecond, 'the step is no limit');
    assert.match(report.advice, /as fast as memory gives them/);
  });

  test('step: a loop that computes; stages are measured beside it and nothing is read twice', async () => {
    const loader = data.loader({ ...options, batchSize: 24 });
    const atFirst = await node.run('status', '--json');
    let epochs = 0;
    // The first replay comes after a second.
    do {
      await epoch(loader, 60);
      epochs += 1;
    } while (loader.report().ceilings.gather === null || epochs < 2);
    const report = loader.report();
    assertSound(report);
    assert.equal(report.samples, epochs * data.length, 'each sample once an epoch');
    assert.match(report.advice, /own work takes \d+ % of the time/, String(report));
    const { step, gather, device } = report.ceilings;
    assert.ok(step !== null && gather !== null && step < gather, String(report));
    assert.ok(device === null || device > 0);
    const counted = ({ stdout }: { readonly stdout: string }): number =>
      objectsOf<Status>({ code: 0, stdout, stderr: '' })[0]?.cache.samples ?? 0;
    const told = async (): Promise<number> => counted(await node.run('status', '--json')) - counted(atFirst);
    for (let tries = 0; tries < 100 && (await told()) < report.samples; tries += 1);
    assert.equal(await told(), report.samples, 'a replay is not counted as a read');
  });
});

describe('what a loop waits for whose samples are at a slow source', { skip: noServer }, () => {
  const files = 192;
  const fileBytes = miB / 2;
  let bed: S3Bed;

  before(async () => {
    assert.ok(versitygw.kind === 'ready');
    bed = await S3Bed.start('stalls', versitygw.what);
    for (let i = 0; i < files; i += 1) {
      await bed.put(`part/${String(i).padStart(4, '0')}`, seededBytes(i, fileBytes));
    }
    await bed.settle();
    bed.proxy.script({ fault: { kind: 'slow', bytesPerSecond: 8 * miB }, probability: 1, matches: objectGets });
  });
  after(() => bed.stop());

  async function reportsOf(node: MillpoolNode, epochs: number): Promise<Report> {
    const mill = await connect({ socket: node.socket });
    try {
      const data = await mill.dataset(bed.root);
      const loader = data.loader({ batchSize: 16, shuffle: true, seed: 2 });
      for (let n = 0; n < epochs; n += 1) await epoch(loader);
      return loader.report();
    } finally {
      await mill.close();
    }
  }

  test('source, all of which fits: load it before training', async () => {
    const node = await bed.startNode();
    const report = await reportsOf(node, 1);
    await node.stop();
    assertSound(report);
    assert.ok(bed.proxy.count('slow') > 0, 'the source was slow');
    assert.equal(worstOf(report), 'source', String(report));
    assert.deepEqual(report.tiers.source, { samples: files, bytes: files * fileBytes });
    assert.ok((report.ceilings.source ?? 0) > 0);
    assert.ok(
      report.advice.includes(`millpool load ${bed.root} --wait`) || /is here by now/.test(report.advice),
      report.advice,
    );
  });

  test('source, of which a part fits: how much, and how large it must be', async () => {
    const node = await bed.startNode({ args: ['--size', '64MiB'] });
    const report = await reportsOf(node, 3);
    await node.stop();
    assertSound(report);
    assert.equal(worstOf(report), 'source', String(report));
    assert.match(
      report.advice,
      /: [\d.]+MiB of 96(\.0)?MiB fits, the rest is fetched each epoch: size it to [\d.]+MiB/,
    );
  });
});
