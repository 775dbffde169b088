// Puts the command into a few files. Loading some 250 small modules costs more than most verbs do by themselves.
import { readdirSync, rmSync, statSync } from 'node:fs';
import { basename } from 'node:path';
import { build } from 'esbuild';
import { root } from './places.mjs';

const folder = `${root}/packages/cli`;
const bundle = `${folder}/bundle`;
/** A daemon that runs loads some of the files that it was started from only when it needs them. */
const keptMs = 7 * 86_400_000;
/** With native parts, which they look for beside themselves; and AWS's SDK, which fails as a part of another file. */
const external = ['lmdb', 'msgpackr-extract', 'bufferutil', 'utf-8-validate', '@aws-sdk/*', '@smithy/*'];
/** What is written for CommonJS asks for Node's own modules by `require`. */
const banner = `import { createRequire as of } from 'node:module'; const require = of(import.meta.url);`;

// Of what `tsc` built. Names stay as they are, so that stack traces do.
const { metafile } = await build({
  entryPoints: [`${folder}/dist/main.js`],
  outdir: bundle,
  metafile: true,
  bundle: true,
  splitting: true,
  format: 'esm',
  platform: 'node',
  target: 'node20',
  external,
  banner: { js: banner },
  minifyWhitespace: true,
  minifySyntax: true,
  lineLimit: 120,
  logLevel: 'warning',
});

const made = new Set(Object.keys(metafile.outputs).map((path) => basename(path)));
for (const name of readdirSync(bundle)) {
  const path = `${bundle}/${name}`;
  if (!made.has(name) && statSync(path).mtimeMs < Date.now() - keptMs) rmSync(path, { recursive: true });
}
