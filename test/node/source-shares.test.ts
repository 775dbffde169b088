import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';

import { connect } from '@millpool/client';
import type { LoaderOptions, Mill } from '@millpool/client';
import type { Status } from '@millpool/protocol';

import { objectsOf } from '../harness/command-output.ts';
import { FaultProxy } from '../harness/fault-proxy.ts';
import { objectGets } from '../harness/fault.ts';
import { ManyObjects } from '../harness/many-objects.ts';
import { MillpoolNode } from '../harness/millpool-process.ts';
import { temporaryFolder } from '../harness/temporary-folder.ts';
import type { TemporaryFolder } from '../harness/temporary-folder.ts';

const miB = 2 ** 20;
const filesOfPart = 1_000;
/** So large that far fewer are under way, by the memory that they may take, than each loop asks for at once. */
const fileBytes = 256 * 1024;
/** So slow that every loop waits for it. */
const capBytesPerSecond = 64 * miB;
/** The least that it may be: what is fetched ahead is half of what it leaves for buffers. */
const budgetBytes = 192 * miB;
const aheadBytes = 16 * miB;
const deadlineMs = 120_000;
/** GETs of each until the daemon has found out how many at once are of use, and all those are shared. */
const settled = 250;
const compared = 600;

describe('a source that several loops share', { skip: ManyObjects.missing() ?? false }, () => {
  let folder: TemporaryFolder;
  let objects: ManyObjects;
  let proxy: FaultProxy;
  let node: MillpoolNode;
  /** GETs that came to the proxy, by the part that their object is in. */
  const gets = [0, 0];

  before(async () => {
    folder = await temporaryFolder('shares');
    objects = await ManyObjects.start({ count: 2 * filesOfPart, sizeBytes: fileBytes }, folder.path);
    proxy = await FaultProxy.start(objects.endpoint, 1);
    const matches = (request: { readonly method: string; readonly url: string }): boolean => {
      if (!objectGets(request)) return false;
      const part = Number(/\/part-(\d+)\//.exec(request.url)?.[1]);
      gets[part] = countOf(part) + 1;
      return true;
    };
    proxy.script({ fault: { kind: 'capped', bytesPerSecond: capBytesPerSecond }, probability: 1, matches });
    const env = {
      ...objects.env,
      AWS_ENDPOINT_URL: proxy.endpoint,
      MILLPOOL_HEDGE: 'off',
      MILLPOOL_SOURCE_TIMEOUT: '120s',
    };
    node = await MillpoolNode.start({
      directory: folder.path,
      sources: [objects.source],
      args: ['--at', '/data'],
      env: { ...env, MILLPOOL_BUDGET: String(budgetBytes) },
    });
  });
  after(async () => {
    await node.stop();
    await proxy.stop();
    await objects.stop();
    await folder.remove();
  });

  function countOf(part: number): number {
    return gets[part] ?? 0;
  }

  /** Or again, where this machine was too busy to carry an answer in time. */
  function askedForOnce(): void {
    for (const count of gets) assert.ok(count >= filesOfPart && count < 1.05 * filesOfPart, gets.join(', '));
  }

  /** An epoch of a loop that does nothing; its samples. */
  async function epoch(mill: Mill, part: number, options: LoaderOptions): Promise<number> {
    const data = await mill.dataset(`/data/part-000${part}`);
    let samples = 0;
    for await (using batch of data.loader({ ...options, shuffle: true, seed: 1 })) samples += batch.length;
    return samples;
  }

  test('two loops of which one asks for four times as much at once get the same of it while both want', async (t) => {
    const mills = [await connect({ socket: node.socket }), await connect({ socket: node.socket })] as const;
    const over = new Set<number>();
    // Each asks for more than its share of what can be under way; without shares one would get four times more.
    const loops = Promise.all([
      epoch(mills[0], 0, { batchSize: 256, prefetch: 4 }).finally(() => over.add(0)),
      epoch(mills[1], 1, { batchSize: 16, prefetch: 16 }).finally(() => over.add(1)),
    ]);
    const until = async (isThere: () => boolean): Promise<readonly [number, number]> => {
      while (!isThere() && over.size === 0) await sleep(5);
      return [countOf(0), countOf(1)];
    };
    const begin = await until(() => countOf(0) >= settled && countOf(1) >= settled);
    const end = await until(() => countOf(0) + countOf(1) - begin[0] - begin[1] >= compared);
    const isEarly = over.size === 0 && end.every((count) => count < filesOfPart);
    // Before anything is judged: the next test counts GETs of its own.
    assert.deepEqual(await loops, [filesOfPart, filesOfPart]);
    assert.ok(isEarly, `both want more: ${end.join(', ')}`);
    const [large, small] = [end[0] - begin[0], end[1] - begin[1]];
    t.diagnostic(`${large} GETs of the loop with large batches, ${small} of the one with small ones`);
    assert.ok(large <= 2 * small && small <= 2 * large, `${large} and ${small}`);
    askedForOnce();
    assert.ok(proxy.count('capped') > 0, 'the cap was in force');
    for (const mill of mills) await mill.close();
  });

  test('a loop that takes no more batches stops the GETs, and none is lost when it goes on', async () => {
    objectsOf(await node.run('free', '/data', '--json'));
    gets.fill(0);
    const mill = await connect({ socket: node.socket });
    const data = await mill.dataset('/data');
    const batchSize = 8;
    const seen = new Set<number>();
    const batches = data.loader({ batchSize, shuffle: true, seed: 4 })[Symbol.asyncIterator]();
    const take = async (): Promise<boolean> => {
      const { done, value } = await batches.next();
      if (done === true) return false;
      for (let i = 0; i < value.length; i += 1) seen.add(value.index(i));
      value.release();
      return true;
    };
    for (let taken = 0; taken < 2; taken += 1) await take();
    const asked = (): number => (countOf(0) + countOf(1)) * fileBytes;
    for (const deadline = Date.now() + deadlineMs; asked() < aheadBytes;) {
      assert.ok(Date.now() < deadline, `${asked()} bytes are asked for`);
      await sleep(5);
    }
    // What it may fetch ahead, and beside that the batches that the loader holds ready and those that were taken.
    const most = aheadBytes + 64 * batchSize * fileBytes;
    assert.ok(most < data.bytes / 2, 'far less than there is');
    for (let looks = 0; looks < 20; looks += 1) {
      const [status] = objectsOf<Status>(await node.run('status', '--json'));
      assert.ok(status !== undefined && asked() <= most, `${asked()} of ${data.bytes}`);
    }
    while (await take());
    assert.equal(seen.size, data.length);
    askedForOnce();
    await mill.close();
  });
});
