import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { chmod, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';

import { errorOf, objectsOf } from '../harness/command-output.ts';
import { FolderNode } from '../harness/folder-node.ts';
import { millpoolMain } from '../harness/millpool-process.ts';

const run = promisify(execFile);
const deadlineMs = 60_000;
let node: FolderNode;
let program: string;

before(async () => {
  node = await FolderNode.start('completion', { files: 101, seed: 13, bytesMin: 1, bytesMax: 90 });
  const strange = join(node.directory, 'strange');
  await mkdir(join(strange, "it's a directory"), { recursive: true });
  await writeFile(join(strange, 'plain.txt'), 'x');
  objectsOf(await node.run('attach', strange, '--at', '/strange', '--json'));
  program = join(node.directory, 'millpool');
  await writeFile(program, `#!/bin/sh\nexec '${process.execPath}' '${millpoolMain}' "$@"\n`);
  await chmod(program, 0o755);
});
after(() => node.stop());

/** What bash would offer for the last of the words, as its own completion calls the function. */
async function offered(...words: readonly string[]): Promise<string[]> {
  const script = `set -u
    source <("$1" completion bash) || exit 1
    complete -p millpool | grep -q -- '-F _millpool' || exit 2
    COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
    _millpool "$1"
    ((\${#COMPREPLY[@]} == 0)) || printf '%s\\n' "\${COMPREPLY[@]}"`;
  const env = { ...process.env, MILLPOOL_SOCKET: node.socket };
  const args = ['--norc', '-c', script, 'bash', program, ...words];
  const { stdout, stderr } = await run('bash', args, { env, timeout: deadlineMs });
  assert.equal(stderr, '');
  return stdout.split('\n').filter(Boolean);
}

test('bash completes verbs, those below a verb, options and what an option may be', async () => {
  assert.deepEqual(await offered('da'), ['dataset']);
  assert.deepEqual(await offered('dataset', 's'), ['snapshot']);
  assert.deepEqual(await offered('--quiet', '--socket', 'up', 'dataset', 'd'), ['diff']);
  assert.deepEqual(await offered('dataset', 'snapshot', '--inc'), ['--include']);
  assert.deepEqual(await offered('up', '--policy', 's'), ['sieve', 'stream']);
  assert.deepEqual(await offered('ls', '--js'), ['--json']);
  assert.deepEqual(await offered('completion', ''), ['bash', 'zsh', 'fish']);
  assert.deepEqual(await offered('up', '--size', ''), []);
  assert.deepEqual(await offered('up', join(node.directory, 'sou')), [node.source]);
});

test('bash completes paths of the namespace while the daemon runs, and offers none without it', async () => {
  assert.deepEqual(await offered('ls', '/so'), ['/source/']);
  assert.deepEqual(await offered('--json', 'stat', '/source/part-001/'), ['/source/part-001/file-000100.bin']);
  assert.deepEqual(await offered('cat', ''), ['/']);
  assert.deepEqual(await offered('attach', 's3://b', '--at', '/str'), ['/strange/']);
  assert.deepEqual(await offered('ls', '/strange/it'), ["/strange/it's a directory/"]);
  assert.deepEqual(await offered('--socket', join(node.directory, 'nobody.sock'), 'ls', '/so'), []);
});

test('every script names each verb and option; another shell is wrong usage', async () => {
  const help = (await node.run('--help')).stdout;
  const verbs = [...help.matchAll(/^ {2}([a-z]+) /gm)].map((match) => match[1] ?? '');
  assert.ok(verbs.length > 15);
  for (const shell of ['bash', 'zsh', 'fish']) {
    const [{ script }] = objectsOf<{ script: string }>(await node.run('completion', shell, '--json')) as [
      { script: string },
    ];
    for (const verb of verbs.filter((name) => name !== 'help')) assert.match(script, new RegExp(`\\b${verb}\\b`));
    for (const option of ['verify', 'include', 'socket', 'freshness']) assert.match(script, new RegExp(option));
    assert.equal((await node.run('completion', shell)).stdout, `${script}\n`);
  }
  const other = await node.run('completion', 'tcsh', '--json');
  assert.deepEqual([other.code, errorOf(other).code], [2, 'invalid']);
});
