// Puts the command into a few files. Loading some 250 small modules costs more than most verbs do by themselves.
import { rmSync } from 'node:fs';
import { build } from 'esbuild';
import { root } from './places.mjs';

const folder = `${root}/packages/cli`;
/** With native parts, which they look for beside themselves; and AWS's SDK, which fails as a part of another file. */
const external = ['lmdb', 'msgpackr-extract', 'bufferutil', 'utf-8-validate', '@aws-sdk/*', '@smithy/*'];
/** What is written for CommonJS asks for Node's own modules by `require`. */
const banner = `import { createRequire as of } from 'node:module'; const require = of(import.meta.url);`;

// Of what `tsc` built. Names stay as they are, so that stack traces do.
rmSync(`${folder}/bundle`, { recursive: true, force: true });
await build({
  entryPoints: [`${folder}/dist/main.js`],
  outdir: `${folder}/bundle`,
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
