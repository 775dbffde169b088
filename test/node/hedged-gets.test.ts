import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { connect } from '@millpool/client';
import type { Mill } from '@millpool/client';
import type { Status } from '@millpool/protocol';

import { objectsOf } from '../harness/command-output.ts';
import { getsOf } from '../harness/fault.ts';
import type { FaultRule } from '../harness/fault.ts';
import type { MillpoolNode } from '../harness/millpool-process.ts';
import { S3Bed } from '../harness/s3-bed.ts';
import { seededBytes } from '../harness/seeded-random.ts';
import { ensureVersitygw } from '../harness/versitygw-binary.ts';

const versitygw = await ensureVersitygw({ say: (text) => void process.stderr.write(`${text}\n`) });
const skip = versitygw.kind === 'unavailable' ? versitygw.why : false;
const files = 240;
const slowFiles = 6;

describe('GETs that are slow', { skip }, () => {
  let bed: S3Bed;
  const keys = Array.from({ length: files }, (_, i) => `${i < slowFiles ? 'slow' : 'warm'}/${i}`);

  before(async () => {
    assert.ok(versitygw.kind === 'ready');
    bed = await S3Bed.start('hedges', versitygw.what);
    for (const [i, key] of keys.entries()) await bed.put(key, seededBytes(i, 3000 + i));
    await bed.settle();
  });
  after(() => bed.stop());

  async function statusOfCache(node: MillpoolNode): Promise<Status['cache']> {
    const [status] = objectsOf<Status>(await node.run('status', '--json'));
    assert.ok(status !== undefined);
    return status.cache;
  }

  async function readRight(mill: Mill, paths: readonly string[]): Promise<void> {
    using batch = await mill.readMany(paths);
    for (const [i, path] of paths.entries()) assert.deepEqual(Buffer.from(batch.sample(i)), bed.bytesOf(path), path);
  }

  /** What is read after the others are loaded, where the first GET of each is never answered. */
  async function readSlow(node: MillpoolNode, mill: Mill): Promise<void> {
    // Nobody waits for what is loaded: it shows how long GETs take, and none of them is sent twice.
    objectsOf(await node.run('load', `${bed.root}/warm`, '--wait', '--json'));
    const earlier = bed.proxy.count('hang-before-header');
    const due = new Set(keys.slice(0, slowFiles));
    const firstOfEach: FaultRule['matches'] = (request) => {
      const key = keys.find((name) => getsOf(name)(request));
      return key !== undefined && due.delete(key);
    };
    bed.proxy.script({ fault: { kind: 'hang-before-header' }, probability: 1, matches: firstOfEach });
    await readRight(mill, bed.paths.slice(0, slowFiles));
    bed.proxy.script();
    assert.equal(bed.proxy.count('hang-before-header') - earlier, slowFiles, 'all of them hung');
  }

  test('are sent a second time, within 5 % of all, and the status counts them', async () => {
    const node = await bed.startNode();
    const mill = await connect({ socket: node.socket });
    await readSlow(node, mill);
    const { gets, hedges, sourceBytes, retries } = await statusOfCache(node);
    const { sent, won, bytes } = hedges;
    assert.ok(sent + retries >= slowFiles, `${sent} sent twice and ${retries} again`);
    assert.ok(won > 0 && won <= sent, `${won} of ${sent}`);
    assert.ok(sent * 20 <= gets - sent, `${sent} of ${gets}`);
    assert.ok(bytes > 0 && bytes * 20 <= sourceBytes, `${bytes} of ${sourceBytes}`);
    const { stdout } = await node.run('status');
    assert.match(stdout, new RegExp(`${sent} of ${gets} GETs sent twice for being slow, ${won} times to`));
    const why = await node.run('why', bed.paths[0] ?? '');
    assert.match(why.stdout, new RegExp(`${sent} GETs sent twice for being slow, ${won} to advantage`));
    const top = objectsOf<{ hedges: { sent: number; won: number } }>(
      await node.run('top', '--once', '-d', '0.1', '--json'),
    );
    assert.deepEqual(top[0]?.hedges, { sent: 0, won: 0 }, 'none since the reading before');
    const data = await mill.dataset(bed.root);
    const loader = data.loader({ batchSize: 64 });
    for await (const batch of loader) batch.release();
    assert.deepEqual(loader.report().hedges, { sent, won });
    assert.match(String(loader.report()), new RegExp(`sent twice +${sent} slow GETs of this node, ${won} to`));
    await mill.close();
    await node.stop();
  });

  test('are sent once where the setting says so', async () => {
    const node = await bed.startNode({ env: { MILLPOOL_HEDGE: 'off' } });
    const mill = await connect({ socket: node.socket });
    await readSlow(node, mill);
    const { hedges, retries } = await statusOfCache(node);
    assert.deepEqual([hedges.sent, hedges.held], [0, 0]);
    assert.ok(retries >= slowFiles, 'each was asked for again when its time was up');
    await mill.close();
    await node.stop();
  });
});
