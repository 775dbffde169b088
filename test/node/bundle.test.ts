import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { createRequire } from 'node:module';
import { test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';

const run = promisify(execFile);

test('the command starts with code that was compiled when it was built', async () => {
  const command = createRequire(import.meta.url).resolve('@millpool/cli/main');
  const bundle = new URL('bundle.mjs', pathToFileURL(command)).href;
  const program = `
    const { compileBundle } = await import(${JSON.stringify(bundle)});
    console.log(compileBundle().isCodeTaken);
  `;
  const { stdout } = await run(process.execPath, ['--input-type=module', '--eval', program]);
  assert.equal(stdout, 'true\n');
});
