import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, rename, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { after, before, describe, test } from 'node:test';

import type { SourceDifference } from '@millpool/protocol';

import { errorOf, linesOf, objectsOf } from '../harness/command-output.ts';
import { everyRequest } from '../harness/fault.ts';
import { FolderNode } from '../harness/folder-node.ts';
import { millpoolMain } from '../harness/millpool-process.ts';
import type { CommandResult, MillpoolNode } from '../harness/millpool-process.ts';
import { S3Bed } from '../harness/s3-bed.ts';
import { seededBytes } from '../harness/seeded-random.ts';
import { ensureVersitygw } from '../harness/versitygw-binary.ts';

const versitygw = await ensureVersitygw({ say: (text) => void process.stderr.write(`${text}\n`) });
const skip = versitygw.kind === 'unavailable' ? versitygw.why : false;

interface Summary {
  readonly files: number;
  readonly filesNotCompared: number;
  readonly filesWeak: number;
  readonly changed: number;
  readonly missing: number;
  readonly new: number;
  readonly unlisted: number;
}

/** What `check --source --json` told: a line each, sorted by path, and the summary at the end. */
function told(result: CommandResult): { readonly lines: readonly string[]; readonly summary: Summary } {
  const objects = objectsOf<SourceDifference | Summary>({ ...result, code: 0 });
  const summary = objects.pop() as Summary;
  const lines = (objects as SourceDifference[]).map(({ kind, path }) => `${path} ${kind}`).toSorted();
  const differences = summary.changed + summary.missing + summary.new;
  assert.equal(result.code, differences === 0 ? 0 : 3, result.stderr);
  assert.equal(lines.length, differences + summary.unlisted);
  return { lines, summary };
}

describe('check --source of a bucket', { skip }, () => {
  const files = 2_300;
  let bed: S3Bed;
  let node: MillpoolNode;

  before(async () => {
    assert.ok(versitygw.kind === 'ready');
    bed = await S3Bed.start('checked', versitygw.what);
    const objects = Array.from({ length: files }, (_, i) => ({ key: keyOf(i), bytes: seededBytes(i, 20) }));
    await bed.bucket.putAll(objects, {});
    node = await bed.startNode({ env: { MILLPOOL_SOURCE_TIMEOUT: '10s' } });
  });
  after(() => bed.stop());

  const keyOf = (i: number): string => `part-${String(i % 4)}/${String(i).padStart(5, '0')}`;

  test('nothing is known, then nothing differs, then what was changed, deleted and added is named', async () => {
    assert.deepEqual(told(await node.run('check', '--source', '--json')).lines, [`${bed.root} unlisted`]);
    assert.equal(linesOf((await node.run('find', bed.root, '--type', 'f')).stdout).length, files);
    const same = told(await node.run('check', '--source', '--json'));
    assert.deepEqual([same.lines, same.summary.files, same.summary.filesWeak], [[], files, 0]);

    await bed.put(keyOf(8), seededBytes(1, 21));
    await bed.put(keyOf(2_001), seededBytes(2, 20));
    await bed.remove(keyOf(1_003));
    await bed.put('part-1/00000-new', seededBytes(3, 5));
    for (let i = 0; i < 3; i += 1) await bed.put(`part-10/${i}`, seededBytes(i, 5));
    const expected = [
      `${bed.root}/part-0/00008 changed`,
      `${bed.root}/part-1/00000-new new`,
      `${bed.root}/part-1/02001 changed`,
      `${bed.root}/part-10 new`,
      `${bed.root}/part-3/01003 missing`,
    ];
    const found = told(await node.run('check', bed.root, '--source', '--json'));
    assert.deepEqual(found.lines, expected);
    assert.deepEqual([found.summary.files, found.summary.filesNotCompared], [files + 1, 3]);
    const part = told(await node.run('check', `${bed.root}/part-0`, '--source', '--json'));
    assert.deepEqual([part.lines, part.summary.files], [expected.slice(0, 1), files / 4]);
    const text = await node.run('check', `${bed.root}/part-0`, '--source');
    assert.equal(text.code, 3);
    assert.match(
      text.stdout,
      /^changed {3}\/checked\/part-0\/00008 {2}20B -> 21B\nCompared 575 files in .*: 1 changed/,
    );
    assert.equal(text.stderr, '');
  });

  test('a LIST that fails is an error, and nothing is told to be missing', async () => {
    bed.proxy.script({
      fault: { kind: 'status', status: 503, code: 'SlowDown' },
      probability: 1,
      matches: everyRequest,
    });
    const result = await node.run('check', '--source', '--json');
    assert.ok(bed.proxy.count('status') > 0);
    bed.proxy.script();
    assert.deepEqual([result.code, result.stdout, errorOf(result).code], [1, '', 'source-unavailable']);
  });

  test('Ctrl-C ends it at once, though the source hangs', async () => {
    bed.proxy.script({ fault: { kind: 'hang-before-header' }, probability: 1, matches: everyRequest });
    const hung = bed.proxy.count('hang-before-header');
    const child = spawn(process.execPath, [millpoolMain, 'check', '--source', '--json'], {
      env: { ...process.env, MILLPOOL_SOCKET: node.socket },
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    await bed.proxy.reached('hang-before-header', hung + 1);
    child.kill('SIGINT');
    const [code] = (await once(child, 'exit')) as [number | null];
    assert.equal(code, 130);
    bed.proxy.script();
  });
});

describe('check --source of a folder', () => {
  let node: FolderNode;

  before(async () => {
    node = await FolderNode.start('check-source', { files: 250, seed: 8, bytesMin: 10, bytesMax: 20 });
  });
  after(() => node.stop());

  const inSource = (path: string): string => join(node.source, path.slice(node.root.length + 1));

  test('files without an etag are compared by size and time; a folder that is away is an error', async () => {
    assert.equal(linesOf((await node.run('find', '/', '--type', 'f')).stdout).length, 250);
    const same = told(await node.run('check', '--source', '--json'));
    assert.deepEqual([same.lines, same.summary.filesWeak], [[], 250]);
    const [changed = '', gone = ''] = [node.paths[3], node.paths[240]];
    await writeFile(inSource(changed), node.bytesOf(changed));
    await rm(inSource(gone));
    const added = `${node.root}/part-001/added`;
    await mkdir(dirname(inSource(added)), { recursive: true });
    await writeFile(inSource(added), 'x');
    const expected = [`${changed} changed`, `${added} new`, `${gone} missing`];
    assert.deepEqual(told(await node.run('check', '--source', '--json')).lines, expected);
    assert.match((await node.run('check', '--source')).stderr, /251 files have no etag/);

    const hidden = `${node.source}-hidden`;
    await rename(node.source, hidden);
    const away = await node.run('check', '--source', '--json');
    assert.deepEqual([away.code, away.stdout, errorOf(away).code], [1, '', 'source-unavailable']);
    await rename(hidden, node.source);
    assert.deepEqual(told(await node.run('check', '--source', '--json')).lines, expected);
  });
});
