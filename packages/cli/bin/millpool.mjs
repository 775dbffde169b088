#!/usr/bin/env node
// npm links a command when it installs, which is before anything is built: so this file is there from the beginning.
import { existsSync } from 'node:fs';

const main = new URL('../dist/main.js', import.meta.url);
if (existsSync(main)) {
  await import(main.href);
} else {
  process.stderr.write('millpool: it is not built yet.\n  Run `npm run build` first.\n');
  process.exitCode = 1;
}
