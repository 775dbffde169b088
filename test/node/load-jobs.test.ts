import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';

import type { ErrorShape, JobStatus, Status } from '@millpool/protocol';

import { errorsOf, objectsOf } from '../harness/command-output.ts';
import type { Fault } from '../harness/fault.ts';
import { objectGets } from '../harness/fault.ts';
import { MillpoolNode, millpoolMain } from '../harness/millpool-process.ts';
import { S3Bed } from '../harness/s3-bed.ts';
import { seededBytes } from '../harness/seeded-random.ts';
import { ensureVersitygw } from '../harness/versitygw-binary.ts';

const versitygw = await ensureVersitygw({ say: (text) => void process.stderr.write(`${text}\n`) });
const skip = versitygw.kind === 'unavailable' ? versitygw.why : false;

const files = 300;
const fileBytes = 20_000;
/** Objects whose GETs hang where a test says so. */
const lateFiles = 12;
const deadlineMs = 120_000;
const hang: Fault = { kind: 'hang-before-header' };

describe('load jobs', { skip }, () => {
  let bed: S3Bed;
  let node: MillpoolNode;
  let directory: string;
  let env: Record<string, string>;

  before(async () => {
    assert.ok(versitygw.kind === 'ready');
    bed = await S3Bed.start('loads', versitygw.what);
    for (let i = 0; i < files; i += 1) await bed.put(keyOf(i), seededBytes(i, fileBytes));
    await bed.settle();
    directory = join(bed.directory, 'node');
    // So that a GET that hangs hangs until the test lets it go.
    env = { ...bed.env, MILLPOOL_SOURCE_TIMEOUT: '10m' };
    node = await MillpoolNode.start({ directory, sources: [bed.source], env });
  });
  after(async () => {
    await node.stop();
    await bed.stop();
  });

  function keyOf(i: number): string {
    return `${i < lateFiles ? 'late' : 'soon'}/${String(i).padStart(4, '0')}`;
  }

  async function status(): Promise<Status> {
    const [found] = objectsOf<Status>(await node.run('status', '--json'));
    assert.ok(found !== undefined);
    return found;
  }

  async function jobs(): Promise<readonly JobStatus[]> {
    return objectsOf<JobStatus>(await node.run('jobs', '--json'));
  }

  async function jobOf(job: number): Promise<JobStatus> {
    const [found] = objectsOf<JobStatus>(await node.run('jobs', 'show', String(job), '--json'));
    assert.ok(found !== undefined);
    return found;
  }

  async function until(job: number, what: string, check: (status: JobStatus) => boolean): Promise<JobStatus> {
    for (const since = performance.now(); ; await sleep(50)) {
      const found = await jobOf(job);
      if (check(found)) return found;
      assert.ok(performance.now() - since < deadlineMs, `never ${what}: ${JSON.stringify(found)}`);
    }
  }

  async function start(...args: readonly string[]): Promise<number> {
    const [started] = objectsOf<{ job: number }>(await node.run('load', ...args, '--json'));
    assert.ok(started !== undefined);
    return started.job;
  }

  async function restart(signal: 'SIGINT' | 'SIGKILL', whileDown: () => void = () => undefined): Promise<void> {
    await node.stop(signal);
    whileDown();
    node = await MillpoolNode.start({ directory, env });
  }

  /** Nothing is resident, and a load has brought all but what hangs. */
  async function inTheMiddle(): Promise<number> {
    objectsOf(await node.run('free', bed.root, '--json'));
    bed.proxy.script({ fault: hang, probability: 1, matches: (request) => isLate(request) });
    const job = await start(bed.root);
    const found = await until(job, 'brought what does not hang', ({ filesDone }) => filesDone === files - lateFiles);
    assert.equal(found.state, 'running');
    return job;
  }

  for (const signal of ['SIGKILL', 'SIGINT'] as const) {
    test(`a load goes on after ${signal} of the daemon, and fetches only what is missing`, async () => {
      const job = await inTheMiddle();
      await restart(signal, () => bed.proxy.script());
      const ended = await until(job, 'ended', ({ state }) => state !== 'running');
      assert.deepEqual(
        [ended.state, ended.files, ended.filesDone, ended.bytes, ended.bytesDone, ended.failureCount],
        ['done', files, files, files * fileBytes, files * fileBytes, 0],
      );
      assert.ok(ended.endedAt !== null && ended.endedAt > ended.startedAt);
      const { cache } = await status();
      assert.deepEqual([cache.gets, cache.sourceBytes], [lateFiles, lateFiles * fileBytes]);
      await restart('SIGKILL');
      assert.deepEqual({ ...(await jobOf(job)) }, { ...ended, bytesPerSecond: (await jobOf(job)).bytesPerSecond });
    });
  }

  test('what is done never goes back, and ends exactly; what is freed meanwhile is fetched again', async () => {
    const job = await inTheMiddle();
    const soon = bed.paths.filter((path) => path.includes('/soon/')).slice(0, 5);
    for (const path of soon) objectsOf(await node.run('free', path, '--json'));
    const seen: number[] = [];
    bed.proxy.script();
    await until(job, 'ended', ({ state, bytesDone, filesDone }) => {
      seen.push(bytesDone);
      assert.ok(bytesDone <= files * fileBytes && filesDone <= files);
      return state !== 'running';
    });
    assert.deepEqual(
      seen,
      seen.toSorted((a, b) => a - b),
    );
    assert.equal(seen.at(-1), files * fileBytes);
    const stats = objectsOf<{ cachedBytes: number }>(await node.run('stat', ...bed.paths, '--json'));
    assert.ok(stats.every(({ cachedBytes }) => cachedBytes === fileBytes));
  });

  test('after Ctrl-C the job goes on, asked again it is joined, and it ends when it is cancelled', async () => {
    const job = await inTheMiddle();
    const waiting = spawn(process.execPath, [millpoolMain, 'load', bed.root, '--wait'], {
      env: { ...process.env, ...env, MILLPOOL_SOCKET: node.socket },
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    let said = '';
    waiting.stderr.setEncoding('utf8').on('data', (text: string) => (said += text));
    const ended = once(waiting, 'close');
    for (const since = performance.now(); !said.includes(`Job ${job} `); await sleep(50)) {
      assert.ok(performance.now() - since < deadlineMs && waiting.exitCode === null, said);
    }
    waiting.kill('SIGINT');
    await ended;
    assert.equal(waiting.exitCode, 130);
    assert.match(said, new RegExp(`job ${job} goes on.*\n.*millpool jobs cancel ${job}`));
    assert.equal(await start(bed.root), job);
    assert.equal((await jobOf(job)).state, 'running');
    const [cancelled] = objectsOf<JobStatus>(await node.run('jobs', 'cancel', String(job), '--json'));
    assert.deepEqual([cancelled?.state, cancelled?.filesDone], ['cancelled', files - lateFiles]);
    await restart('SIGKILL', () => bed.proxy.script());
    assert.equal((await jobOf(job)).state, 'cancelled');
    assert.match((await node.run('jobs')).stdout, new RegExp(`^ *${job}  ${bed.root} +cancelled +96.0 %`, 'm'));
    assert.equal((await node.run('jobs', 'cancel', '999')).code, 4);
    assert.equal((await node.run('jobs', 'cancel', 'x')).code, 2);
  });

  test('--concurrency is the number of GETs under way', async () => {
    objectsOf(await node.run('free', bed.root, '--json'));
    const atOnce = 4;
    const earlier = bed.proxy.count('hang-before-header');
    bed.proxy.script({ fault: hang, probability: 1, matches: objectGets });
    const job = await start(bed.root, '--concurrency', String(atOnce));
    await bed.proxy.reached('hang-before-header', earlier + atOnce);
    const [seen] = objectsOf<{ fetching: number; queued: number }>(await node.run('top', '--once', '--json'));
    assert.deepEqual([seen?.fetching, seen?.queued], [atOnce, 0]);
    bed.proxy.script();
    await until(job, 'ended', ({ state }) => state === 'done');
    assert.equal((await node.run('load', bed.root, '--concurrency', '0')).code, 2);
  });

  test('--rate bounds the bytes of any window, also of several jobs each', async () => {
    bed.proxy.script();
    objectsOf(await node.run('free', bed.root, '--json'));
    const rate = 100 * 1024;
    const [late, soon] = [`${bed.root}/late`, `${bed.root}/soon`];
    const startMs = performance.now();
    const { cache: earlier } = await status();
    const started = [await start(late, '--rate', '100KiB/s'), await start(soon, '--rate', '100KiB/s')];
    // What was asked for ahead of time: 50 ms of the rate and a record, of each job.
    const slack = started.length * (0.05 * rate + fileBytes);
    for (let fetched = 0; fetched < 5 * rate;) {
      assert.ok(performance.now() - startMs < deadlineMs, `only ${fetched} bytes came`);
      fetched = (await status()).cache.sourceBytes - earlier.sourceBytes;
      const seconds = (performance.now() - startMs) / 1000;
      assert.ok(fetched <= started.length * rate * seconds + slack, `${fetched} bytes in ${seconds} s`);
    }
    const job = (await jobs()).find(({ path, state }) => path === soon && state === 'running');
    assert.equal(job?.limits.bytesPerSecond, rate);
    for (const each of started) objectsOf(await node.run('jobs', 'cancel', String(each), '--json'));
    assert.equal((await node.run('load', bed.root, '--rate', '0')).code, 2);
  });

  test('what could not be loaded is listed, also after a restart, and is tried when it is asked again', async () => {
    objectsOf(await node.run('free', bed.root, '--json'));
    const broken: Fault = { kind: 'wrong-etag', etag: '"of-another-version"' };
    bed.proxy.script({ fault: broken, probability: 1, matches: (request) => isLate(request) });
    const load = await node.run('load', bed.root, '--wait', '--json');
    const [job] = objectsOf<JobStatus>({ ...load, code: 0 });
    assert.ok(job !== undefined);
    assert.deepEqual(
      [load.code, job.state, job.filesDone, job.failureCount],
      [3, 'partly', files - lateFiles, lateFiles],
    );
    const missing = bed.paths.filter((path) => path.includes('/late/'));
    const told = (failures: readonly ErrorShape[]): unknown[] => failures.map(({ path, code }) => [path, code]);
    const expected = missing.map((path) => [path, 'source-changed']);
    assert.deepEqual(told(errorsOf(load)), expected);
    await restart('SIGKILL', () => bed.proxy.script());
    assert.deepEqual(told((await jobOf(job.job)).failures), expected);
    assert.match((await node.run('jobs', String(job.job))).stdout, /late\/0011: source-changed: /);
    const again = await start(bed.root);
    assert.notEqual(again, job.job);
    assert.equal((await until(again, 'ended', ({ state }) => state !== 'running')).state, 'done');
    assert.equal((await status()).cache.gets, lateFiles);
    assert.ok((await jobs()).some((listed) => listed.job === again && listed.failures.length === 0));
  });
});

function isLate(request: { readonly method: string; readonly url: string }): boolean {
  return objectGets(request) && request.url.includes('/late/');
}
