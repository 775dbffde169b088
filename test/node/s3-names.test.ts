import assert from 'node:assert/strict';
import { mkdir, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';

import { connect } from '@millpool/client';
import type { Mill } from '@millpool/client';

import type { Had } from '../harness/cache-directory.ts';
import { objectsOf } from '../harness/command-output.ts';
import type { MillpoolNode } from '../harness/millpool-process.ts';
import { ensureMoto, startMoto } from '../harness/moto.ts';
import { S3Bed } from '../harness/s3-bed.ts';
import type { Serve } from '../harness/s3-bed.ts';
import { startVersitygw } from '../harness/versitygw.ts';
import { ensureVersitygw } from '../harness/versitygw-binary.ts';

/** A key, and the path below the attachment that shows it (docs/formats.md, "Names"). */
type Name = readonly [key: string, path: string];

const same = (key: string): Name => [key, key];
const longPart = 'k'.repeat(204);

/** What every server can hold. */
const plainNames: readonly Name[] = [
  ...[
    'with space',
    ' leading and trailing ',
    '50%',
    '%41',
    'a+b',
    'a&b=c',
    'q?x=1#y',
    'quote\'"$(x)`',
    'tab\tin it',
    'semi;colon:at@',
    '[glob]*{a,b}',
    'back\\slash',
    '~tilde',
    'dir with %/inside it',
    '..hidden/.also',
    '...',
    'x..',
    // One letter in composed form, and as a letter with its accent: two names.
    'caf\u00e9',
    'cafe\u0301',
    '\u65e5\u672c\u8a9e/\u30d5\u30a1\u30a4\u30eb',
    '\u{1f600}',
    'nbsp\u00a0here',
  ].map(same),
  ['%2Fslash', '%252Fslash'],
  ['%25', '%2525'],
  ['%FFbyte', '%25FFbyte'],
  same([longPart, longPart, longPart, longPart, longPart].join('/')),
];

/** What only a server of keys, not of files, can hold. */
const oddNames: readonly Name[] = [
  ['a//b', 'a/%2Fb'],
  ['/leading', '%2Fleading'],
  ['//two', '%2F%2Ftwo'],
  ['up/../there', 'up/%2E%2E/there'],
  ['./here', '%2E/here'],
  ['..', '%2E%2E'],
  ['x/.', 'x/%2E'],
  same('y'.repeat(1024)),
];

interface ServerUnderTest {
  readonly title: string;
  readonly names: readonly Name[];
  readonly serve: Serve;
  /** Why it cannot be had. */
  readonly skip: string | false;
}

const say = (text: string): void => void process.stderr.write(`${text}\n`);
const versitygw = await ensureVersitygw({ say });
const moto = await ensureMoto({ say });
const pathTo = (had: Had<string>): string => (had.kind === 'ready' ? had.what : '');
const whyNot = (had: Had<string>): string | false => (had.kind === 'ready' ? false : had.why);

const servers: readonly ServerUnderTest[] = [
  {
    title: 'versitygw',
    names: plainNames,
    serve: (directory) => startVersitygw({ binary: pathTo(versitygw), directory }),
    skip: whyNot(versitygw),
  },
  { title: 'moto', names: [...plainNames, ...oddNames], serve: () => startMoto(pathTo(moto)), skip: whyNot(moto) },
];

for (const { title, names, serve, skip } of servers) {
  describe(`names of keys, over ${title}`, { skip }, () => {
    let bed: S3Bed;
    let node: MillpoolNode;
    let mill: Mill;
    const contentOf = (key: string): string => `content of ${key}`;
    const byPath = new Map(names.map(([key, path]) => [`/names/${path}`, contentOf(key)]));

    before(async () => {
      bed = await S3Bed.over('names', serve);
      for (const [key] of names) await bed.put(key, Buffer.from(contentOf(key)));
      await bed.settle();
      node = await bed.startNode();
      mill = await connect({ socket: node.socket });
    });
    after(async () => {
      await mill.close();
      await node.stop();
      await bed.stop();
    });

    test('ls -R shows every key once, by its path', async () => {
      const listed = objectsOf(await node.run('ls', '-R', bed.root, '--json')).map((entry) => String(entry['path']));
      assert.deepEqual([...listed].sort(), [...byPath.keys()].sort());
    });

    test('no name adds a line to ls, nor moves a cursor', async () => {
      const { stdout } = await node.run('ls', '-R', bed.root);
      assert.equal(stdout.trimEnd().split('\n').length, names.length);
      for (const control of ['\t', '\r', '\u001b']) assert.ok(!stdout.includes(control));
    });

    test('every directory lists what is in it', async () => {
      const found: string[] = [];
      const walk = async (path: string): Promise<void> => {
        for await (const entry of mill.list(path)) {
          if (entry.type === 'directory') await walk(entry.path);
          else found.push(entry.path);
        }
      };
      await walk(bed.root);
      assert.deepEqual(found.sort(), [...byPath.keys()].sort());
    });

    test('stat and cat take each path as it is shown', async () => {
      const stats = objectsOf(await node.run('stat', ...byPath.keys(), '--json'));
      assert.deepEqual(
        stats.map(({ path, sizeBytes }) => [path, sizeBytes]),
        [...byPath].map(([path, content]) => [path, Buffer.byteLength(content)]),
      );
      using batch = await mill.readMany([...byPath.keys()]);
      for (const [i, [path, content]] of [...byPath].entries()) {
        assert.equal(Buffer.from(batch.sample(i)).toString(), content, path);
      }
      for (const [path, content] of [...byPath].slice(0, 6))
        assert.equal((await node.run('cat', path)).stdout, content);
    });

    test('a dataset and its loader give each sample under its path', async () => {
      const data = await mill.dataset(bed.root);
      const seen = new Map<string, string>();
      for await (using batch of data.loader({ batchSize: 7, shuffle: true, seed: 3 })) {
        for (let i = 0; i < batch.length; i += 1) seen.set(batch.path(i), Buffer.from(batch.sample(i)).toString());
      }
      assert.deepEqual([...seen].sort(), [...byPath].sort());
    });

    test('cp -R writes each into the directory and nothing beside it', async () => {
      const target = join(bed.directory, 'copies');
      await mkdir(target);
      const copied = await node.run('cp', '-R', bed.root, target, '--json');
      const short = [...byPath].filter(([path]) => path.split('/').every((part) => Buffer.byteLength(part) <= 255));
      if (short.length === byPath.size) assert.equal(copied.code, 0, copied.stderr);
      const places = copied.stdout
        .trimEnd()
        .split('\n')
        .map((line) => JSON.parse(line) as { path: string; to: string });
      assert.deepEqual(places.map(({ path }) => path).sort(), short.map(([path]) => path).sort());
      for (const { path, to } of places) {
        assert.ok(to.startsWith(`${target}/`), to);
        assert.equal(await readFile(to, 'utf8'), byPath.get(path), path);
      }
      assert.deepEqual(await readdir(target), ['names']);
    });
  });
}
