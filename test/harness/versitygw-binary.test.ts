import assert from 'node:assert/strict';
import { readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';

import { temporaryFolder } from './temporary-folder.ts';
import type { TemporaryFolder } from './temporary-folder.ts';
import { ensureVersitygw } from './versitygw-binary.ts';

let folder: TemporaryFolder;
before(async () => {
  folder = await temporaryFolder('no-go');
  process.env['XDG_CACHE_HOME'] = folder.path;
  process.env['PATH'] = folder.path;
});
after(() => folder.remove());

async function whyNot(): Promise<string> {
  const had = await ensureVersitygw({ say: () => undefined });
  assert.ok(had.kind === 'unavailable');
  assert.deepEqual(await readdir(join(folder.path, 'millpool', 'bin')), [], 'something of the build is left');
  return had.why;
}

test('a machine without Go is told so in one line', async () => {
  assert.match(await whyNot(), /^the S3 server versitygw cannot be had: go version: there is no such program$/);
});

test('so is one whose Go is too old, or whose build fails', async () => {
  const go = (script: string): Promise<void> =>
    writeFile(join(folder.path, 'go'), `#!/bin/sh\n${script}\n`, { mode: 0o755 });
  await go('echo go version go1.19.8 linux/amd64');
  assert.match(await whyNot(), /Go 1\.25 is needed, and here is go version go1\.19\.8 linux\/amd64$/);
  await go('test "$1" = version && echo go version go1.26.8 linux/amd64 || { echo "no network" >&2; exit 1; }');
  assert.match(await whyNot(), /^the S3 server versitygw cannot be had: go install: no network$/);
});
