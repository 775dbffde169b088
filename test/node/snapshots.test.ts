import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';

import { linesOf, objectsOf } from '../harness/command-output.ts';
import { everyRequest } from '../harness/fault.ts';
import { FaultProxy } from '../harness/fault-proxy.ts';
import { ManyObjects } from '../harness/many-objects.ts';
import { millpoolMain, MillpoolNode } from '../harness/millpool-process.ts';
import type { CommandResult } from '../harness/millpool-process.ts';
import { temporaryFolder } from '../harness/temporary-folder.ts';
import type { TemporaryFolder } from '../harness/temporary-folder.ts';
import { noTerminal, Terminal } from '../harness/terminal.ts';

const count = 300_000;
const objectBytes = 1_024;
/** Of listings, some 300 bytes an object: the quickest machine takes seconds. */
const listingBytesPerSecond = 15e6;

interface Made {
  readonly version: string;
  readonly files: number;
  readonly sizeBytes: number;
}

interface Progress {
  readonly path: string;
  readonly include: string | null;
  readonly stage: 'listing' | 'writing';
  readonly seenFiles: number;
  readonly totalFiles: number | null;
  readonly files: number;
  readonly filesPerSecond: number;
  readonly seconds: number;
}

function progressOf(stderr: string): Progress[] {
  return linesOf(stderr).flatMap((line) =>
    line.startsWith('{"progress"') ? [(JSON.parse(line) as { progress: Progress }).progress] : [],
  );
}

describe(`a snapshot of ${count} files`, { skip: ManyObjects.missing() ?? false }, () => {
  let folder: TemporaryFolder;
  let objects: ManyObjects;
  let proxy: FaultProxy;
  let node: MillpoolNode;

  before(async () => {
    folder = await temporaryFolder('snapshots');
    objects = await ManyObjects.start({ count, sizeBytes: objectBytes }, folder.path);
    proxy = await FaultProxy.start(objects.endpoint, 1);
    const fault = { kind: 'capped', bytesPerSecond: listingBytesPerSecond } as const;
    proxy.script({ fault, probability: 1, matches: everyRequest });
    node = await startNode();
  });
  after(async () => {
    await node.stop();
    await proxy.stop();
    await objects.stop();
    await folder.remove();
  });

  function startNode(): Promise<MillpoolNode> {
    // Every snapshot lists anew.
    const env = { ...objects.env, AWS_ENDPOINT_URL: proxy.endpoint, MILLPOOL_FRESHNESS: 'ttl=1s' };
    return MillpoolNode.start({ directory: folder.path, sources: [objects.source], args: ['--at', '/data'], env });
  }

  function filesMade(): Promise<string[]> {
    return readdir(join(folder.path, 'state', 'datasets'));
  }

  /** Does something when it has told how far it is. */
  async function snapshotUntil(told: () => Promise<void> | void): Promise<CommandResult> {
    const child = spawn(process.execPath, [millpoolMain, 'dataset', 'snapshot', '/data', '--json'], {
      env: { ...process.env, MILLPOOL_SOCKET: node.socket },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const texts = { stdout: '', stderr: '' };
    let doing: Promise<void> | null = null;
    child.stdout.setEncoding('utf8').on('data', (chunk: string) => (texts.stdout += chunk));
    child.stderr.setEncoding('utf8').on('data', (chunk: string) => {
      texts.stderr += chunk;
      if (progressOf(texts.stderr).length > 0) {
        doing ??= Promise.resolve(told() ?? child.kill('SIGINT')).then(() => undefined);
      }
    });
    await once(child, 'close');
    await doing;
    return { code: child.exitCode, ...texts };
  }

  test('Ctrl-C ends it with 130, leaves nothing of it, and keeps nobody from asking again', async () => {
    const result = await snapshotUntil(() => undefined);
    assert.deepEqual([result.code, result.stdout], [130, ''], result.stderr);
    const { code, message } = JSON.parse(linesOf(result.stderr).at(-1) ?? '').error as {
      code: string;
      message: string;
    };
    assert.deepEqual([code, message], ['cancelled', 'Interrupted.']);
    assert.deepEqual(objectsOf(await node.run('dataset', 'ls', '--json')), []);
    // What it had written is removed when the daemon has heard of it.
    for (let looks = 0; looks < 100 && (await filesMade()).length > 0; looks += 1) await node.run('status');
    assert.deepEqual(await filesMade(), []);
  });

  test('kill -9 of the daemon leaves no half of it either, and it begins anew', async () => {
    const result = await snapshotUntil(async () => void (await node.stop('SIGKILL')));
    assert.ok(result.code !== 0 && result.stdout === '', result.stderr);
    node = await startNode();
    assert.deepEqual(await filesMade(), []);
  });

  test('it tells how far it is, a line a second, and its result alone is on stdout', async () => {
    const result = await node.run('dataset', 'snapshot', '/data', '--json');
    assert.equal(result.code, 0, result.stderr);
    const [made, ...others] = linesOf(result.stdout).map((line) => JSON.parse(line) as Made);
    assert.deepEqual([made?.files, made?.sizeBytes, others], [count, count * objectBytes, []]);
    const told = progressOf(result.stderr);
    assert.equal(told.length, linesOf(result.stderr).length, 'nothing else is on stderr');
    assert.ok(told.length > 0, 'it takes more than a second');
    let last: Progress | null = null;
    for (const now of told) {
      assert.deepEqual([now.path, now.include], ['/data', null]);
      assert.ok(now.seenFiles <= count && (now.totalFiles ?? count) === count, JSON.stringify(now));
      if (last?.stage === now.stage) assert.ok(now.seenFiles >= last.seenFiles && now.seconds > last.seconds);
      else assert.ok(last === null || now.stage === 'writing', 'it is listed first');
      if (now.stage === 'listing') assert.deepEqual([now.totalFiles, now.files], [null, 0]);
      last = now;
    }
    assert.ok(told.some(({ seenFiles, filesPerSecond }) => seenFiles > 0 && filesPerSecond > 0));
  });

  test('a glob takes its part of them, and quiet says nothing meanwhile', async () => {
    const args = ['dataset', 'snapshot', '/data', '--include', 'part-{0000,01*}/*[05].bin', '--json', '--quiet'];
    const result = await node.run(...args);
    const [made] = objectsOf<Made>(result);
    assert.equal(made?.files, 101 * 200);
    assert.equal(result.stderr, '');
  });

  test('two that differ stream their differences, in path order', async () => {
    const [all, part] = objectsOf<Made>(await node.run('dataset', 'ls', '--json')).toSorted(
      (a, b) => b.files - a.files,
    );
    assert.ok(all !== undefined && part !== undefined);
    const { code, stdout } = await node.run('dataset', 'diff', part.version, all.version);
    assert.equal(code, 0);
    const lines = linesOf(stdout);
    assert.equal(lines.length, count - 101 * 200);
    assert.deepEqual([lines[0], lines.at(-1)], ['+ part-0000/object-0000001.bin', '+ part-0299/object-0299999.bin']);
  });

  test('on a terminal it is one line, cut where the terminal ends', async (t) => {
    const why = noTerminal();
    if (why !== null) return t.skip(why);
    const size = { rows: 10, columns: 20 };
    const terminal = Terminal.run(['dataset', 'snapshot', '/data'], size, { MILLPOOL_SOCKET: node.socket });
    await terminal.shows(/(listing|writing): \d/);
    assert.equal(await terminal.ended(), 0);
    const written = terminal.text.split(/[\r\n]/).filter((line) => /(listing|writing): /.test(line));
    // oxlint-disable-next-line no-control-regex
    for (const line of written) assert.ok([...line.replaceAll(/\u001b\[K/g, '')].length < size.columns, line);
    assert.match(terminal.lines.join('\n'), new RegExp(`^[0-9a-f]{64}\n${count} files, `, 'm'));
  });
});

describe('a pipe whose reader has seen enough', { skip: ManyObjects.missing() ?? false }, () => {
  let folder: TemporaryFolder;
  let objects: ManyObjects;
  let node: MillpoolNode;

  before(async () => {
    folder = await temporaryFolder('pipes');
    objects = await ManyObjects.start({ count: 20_000, sizeBytes: objectBytes }, folder.path);
    const args = ['--at', '/data'];
    node = await MillpoolNode.start({ directory: folder.path, sources: [objects.source], args, env: objects.env });
  });
  after(async () => {
    await node.stop();
    await objects.stop();
    await folder.remove();
  });

  for (const verb of [
    ['ls', '-R', '/data'],
    ['ls', '-R', '/data', '--json'],
    ['find', '/data'],
    ['find', '/data', '--json'],
    ['du', '/data', '--json'],
    ['dataset', 'ls', '--json'],
    ['config'],
    ['top', '-n', '1000', '-d', '0.1'],
    ['--help'],
  ]) {
    test(`ends ${verb.join(' ')} without an error`, async () => {
      const command = [process.execPath, millpoolMain, ...verb];
      const child = spawn('bash', ['-c', `"$@" | head -1; exit \${PIPESTATUS[0]}`, 'bash', ...command], {
        env: { ...process.env, MILLPOOL_SOCKET: node.socket },
        stdio: ['ignore', 'pipe', 'pipe'],
      });
      const texts = { stdout: '', stderr: '' };
      child.stdout.setEncoding('utf8').on('data', (chunk: string) => (texts.stdout += chunk));
      child.stderr.setEncoding('utf8').on('data', (chunk: string) => (texts.stderr += chunk));
      await once(child, 'close');
      assert.deepEqual([child.exitCode, texts.stderr], [0, '']);
      assert.ok(linesOf(texts.stdout).length <= 1, texts.stdout);
    });
  }
});
