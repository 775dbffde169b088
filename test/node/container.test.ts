import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { test } from 'node:test';

import { objectsOf } from '../harness/command-output.ts';
import { FolderNode } from '../harness/folder-node.ts';

/**
 * Reads an epoch and says what it was: how many samples, a digest that no order changes, which segments this process
 * has mapped, and what it sees of the machine.
 */
const readerScript = `
  import { createHash } from 'node:crypto';
  import { readdirSync, readFileSync } from 'node:fs';
  import { connect } from '@millpool/client';
  const [socket, ...hidden] = process.argv.slice(1);
  const mill = await connect({ socket });
  const data = await mill.dataset('/source');
  const loader = data.loader({ batchSize: 64, shuffle: true });
  const digests = [];
  let mapped = 0;
  for await (const batch of loader) {
    for (let i = 0; i < batch.length; i += 1) {
      digests.push(createHash('sha256').update(batch.path(i)).update(batch.sample(i)).digest('hex'));
    }
    mapped = readFileSync('/proc/self/maps', 'utf8').split('\\n').filter((line) => line.endsWith('.seg')).length;
    batch.release();
  }
  const seen = hidden.flatMap((directory) => readdirSync(directory));
  await mill.close();
  console.log(JSON.stringify({ digests: digests.sort(), mapped, seen, pid: process.pid }));
`;

test('a process of another container that has the socket alone maps segments and reads right bytes', async (t) => {
  const own = ['--mount', '--pid', '--fork', '--mount-proc', '--ipc', '--net'];
  const probe = spawnSync('unshare', [...own, 'true'], { encoding: 'utf8' });
  if (probe.status !== 0) return t.skip(`no namespaces can be made: ${probe.error?.message ?? probe.stderr.trim()}`);
  const node = await FolderNode.start('container', { files: 200, seed: 17, bytesMin: 1, bytesMax: 90_000 });
  t.after(() => node.stop());
  objectsOf(await node.run('load', node.root, '--wait', '--json'));
  // Seals what is open, so that each segment has its name.
  await node.restart('SIGINT');

  const hidden = [node.source, node.node.dataDirectory, `${node.directory}/state`];
  const hide = hidden.map((directory) => `mount -t tmpfs none '${directory}'`).join(' && ');
  const inside = `${hide} && exec "$@"`;
  const reader = [process.execPath, '--input-type=module', '-e', readerScript, node.socket, ...hidden];
  const { status, stdout, stderr } = spawnSync('unshare', [...own, 'sh', '-c', inside, 'sh', ...reader], {
    cwd: import.meta.dirname,
    encoding: 'utf8',
    timeout: 120_000,
  });
  assert.equal(status, 0, stderr);
  const said: unknown = JSON.parse(stdout);
  assert.ok(typeof said === 'object' && said !== null && 'mapped' in said && 'digests' in said);
  assert.deepEqual(
    { ...said, mapped: Number(said.mapped) > 0, digests: null },
    { digests: null, mapped: true, seen: [], pid: 1 },
  );
  const digestOf = (path: string): string => createHash('sha256').update(path).update(node.bytesOf(path)).digest('hex');
  assert.deepEqual(said.digests, node.paths.map(digestOf).toSorted());
});
