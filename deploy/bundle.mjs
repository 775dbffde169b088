// Puts the command into one file, and keeps the code that V8 makes of it. Loading some 250 small modules, and compiling
// them, costs more than most verbs do by themselves.
import { createHash } from 'node:crypto';
import { mkdirSync, rmSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { build } from 'esbuild';
import { bundlePath, writeWhole } from '../packages/cli/bin/bundle.mjs';
import { run } from './command.mjs';
import { root } from './places.mjs';

/** With native parts, which they look for beside themselves; and AWS's SDK, which fails as a part of another file. */
const external = ['msgpackr-extract', 'bufferutil', 'utf-8-validate', '@aws-sdk/*', '@smithy/*'];
const codeLimitSeconds = 60;
/** What is written as a module asks where it is. */
const banner = `const bundleUrl = require('node:url').pathToFileURL(__filename).href;`;

/** LMDB looks for its native part beside its own files, which are not where the bundle lies. */
const lmdbInPlace = {
  name: 'lmdb in place',
  setup: ({ onLoad }) =>
    onLoad({ filter: /[/]node_modules[/]lmdb[/][^/]*[.]js$/ }, async ({ path }) => {
      const source = await readFile(path, 'utf8');
      const place = `import { createRequire as requireOf } from 'node:module';
        import { pathToFileURL as urlOf } from 'node:url';
        const placeUrl = urlOf(requireOf(bundleUrl).resolve('lmdb')).href;`;
      const isPlaced = source.includes('import.meta.url');
      return { contents: isPlaced ? place + source.replaceAll('import.meta.url', 'placeUrl') : source };
    }),
};

// Of what `tsc` built. Names stay as they are, so that stack traces do.
const { outputFiles } = await build({
  entryPoints: [`${root}/packages/cli/dist/main.js`],
  write: false,
  bundle: true,
  format: 'cjs',
  platform: 'node',
  target: 'node20',
  external,
  plugins: [lmdbInPlace],
  define: { 'import.meta.url': 'bundleUrl' },
  // A file of code that is kept cannot import what it was not built with.
  supported: { 'dynamic-import': false },
  banner: { js: banner },
  minifyWhitespace: true,
  minifySyntax: true,
  lineLimit: 120,
  logLevel: 'warning',
});
const [{ text }] = outputFiles;
const folder = dirname(bundlePath);
rmSync(folder, { recursive: true, force: true });
mkdirSync(folder);
const name = createHash('sha256').update(text).digest('hex').slice(0, 16);
writeWhole(bundlePath, `/* build ${name} */${text}`);
const said = [];
const kept = await run(process.execPath, ['deploy/bundle-code.mjs'], {
  cwd: root,
  limitSeconds: codeLimitSeconds,
  onLine: (line) => said.push(line),
});
if (kept.code !== 0) {
  process.stderr.write(['Each start compiles anew, since a first one failed here:', ...said, ''].join('\n'));
}
