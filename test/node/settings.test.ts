import assert from 'node:assert/strict';
import { test } from 'node:test';

import { FolderNode } from '../harness/folder-node.ts';
import { MillpoolNode } from '../harness/millpool-process.ts';
import { objectsOf } from '../harness/command-output.ts';
import { freePort } from '../harness/server-process.ts';

test('what an attachment does not say comes from the settings, and numbers are where they say', async (t) => {
  const files = { files: 20, seed: 8, bytesMin: 100, bytesMax: 9000 };
  const folder = await FolderNode.start('settings', files);
  t.after(() => folder.stop());
  const address = `127.0.0.1:${await freePort()}`;
  const node = await MillpoolNode.start({
    directory: `${folder.directory}/second`,
    sources: [folder.source],
    env: { MILLPOOL_POLICY: 'keep', MILLPOOL_FRESHNESS: 'strict', MILLPOOL_METRICS: address },
  });
  t.after(() => node.stop());
  const [attached] = objectsOf(await node.run('attachments', '--json'));
  assert.deepEqual([attached?.['policy'], attached?.['freshness']], ['keep', 'strict']);
  assert.equal((await node.run('load', '/source', '--wait')).code, 0);

  const answer = await fetch(`http://${address}/metrics`);
  assert.match(answer.headers.get('content-type') ?? '', /^text\/plain; version=0\.0\.4/);
  const text = await answer.text();
  assert.match(text, new RegExp(`^millpool_cache_records ${files.files}$`, 'm'));
  assert.match(text, /^millpool_attachment_reachable\{path="\/source"\} 1$/m);
  assert.match(text, /^millpool_device_state\{device=".*data",state="ok"\} 1$/m);
  assert.match(text, /^millpool_wait_seconds_total\{cause="source"\} 0$/m);
  assert.match(text, /^process_cpu_seconds_total \d/m);
  const fetched = /^millpool_fetch_seconds_count\{path="\/source"\} (\d+)$/m.exec(text)?.[1];
  assert.equal(fetched, String(files.files));
  assert.match(text, new RegExp(`^millpool_fetch_seconds_bucket\\{path="/source",le="\\+Inf"\\} ${files.files}$`, 'm'));
  assert.equal((await fetch(`http://${address}/else`)).status, 404);
});
