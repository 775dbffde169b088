import assert from 'node:assert/strict';
import { test } from 'node:test';

import { everyRequest } from '../harness/fault.ts';
import { S3Bed } from '../harness/s3-bed.ts';
import { ensureVersitygw } from '../harness/versitygw-binary.ts';

/** Of a directory; a look-up of one name has none. */
const listsOfDirectories = ({ url }: { readonly url: string }): boolean => url.includes('delimiter=');

test('look-ups at a real server: single ones while a directory is listed, and a no that is remembered', async (t) => {
  const versitygw = await ensureVersitygw({ say: (text) => t.diagnostic(text) });
  if (versitygw.kind !== 'ready') return t.skip(versitygw.why);
  const bed = await S3Bed.start('look-ups', versitygw.what);
  t.after(() => bed.stop());
  for (let at = 0; at < 20; at += 1) await bed.put(`dir/file-${at}`, Buffer.from(`content ${at}`));
  const node = await bed.startNode();
  const directory = `${bed.root}/dir`;

  bed.proxy.script({ fault: { kind: 'hang-before-header' }, probability: 1, matches: listsOfDirectories });
  const listing = node.run('ls', directory);
  await bed.proxy.reached('hang-before-header', 1);
  const stat = await node.run('stat', `${directory}/file-3`, '--json');
  assert.equal(stat.code, 0, stat.stderr);
  assert.equal((JSON.parse(stat.stdout) as { sizeBytes: number }).sizeBytes, 9);
  assert.equal((await node.run('stat', `${directory}/none`)).code, 4);
  const asked = bed.proxy.requests;
  assert.equal((await node.run('stat', `${directory}/none`)).code, 4);
  assert.equal(bed.proxy.requests, asked, 'the second no needed no request');
  assert.equal((await node.run('stat', `${directory}/file-4`)).code, 0);
  assert.ok(bed.proxy.requests > asked, 'requests are counted');

  // The LIST that hangs ends with its connection, and is tried again.
  bed.proxy.script();
  await bed.proxy.cutOff();
  await bed.proxy.mend();
  const { code, stdout, stderr } = await listing;
  assert.equal(code, 0, stderr);
  assert.equal(stdout.trim().split('\n').length, 20);

  bed.proxy.script({ fault: { kind: 'status', status: 503, code: 'SlowDown' }, probability: 1, matches: everyRequest });
  assert.equal((await node.run('stat', `${directory}/none`)).code, 4, 'a whole listing says no by itself');
});
