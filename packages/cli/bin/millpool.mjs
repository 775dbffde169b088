#!/usr/bin/env node
// npm links a command when it installs, which is before anything is built: so this file is there from the beginning.
import { readdirSync, statSync } from 'node:fs';

import { bundleMadeMs, compileBundle } from './bundle.mjs';

const packages = new URL('../../', import.meta.url);
const built = new URL('../dist/main.js', import.meta.url);

const changedMs = (file) => statSync(file, { throwIfNoEntry: false })?.mtimeMs ?? null;

/** Who builds a package alone, as one does at work, wants to run that. */
function isNewest(madeMs) {
  const stamps = readdirSync(packages).map((name) => new URL(`${name}/dist/.tsbuildinfo`, packages));
  return stamps.every((stamp) => (changedMs(stamp) ?? 0) <= madeMs);
}

const madeMs = bundleMadeMs();
if (madeMs !== null && isNewest(madeMs)) {
  compileBundle().run();
} else if (changedMs(built) !== null) {
  await import(built.href);
} else {
  process.stderr.write('millpool: it is not built yet.\n  Run `npm run build` first.\n');
  process.exitCode = 1;
}
