// Builds everything. All output is on stderr, so that a caller's stdout stays its own.
import { createHash } from 'node:crypto';
import { copyFileSync, existsSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { run } from './command.mjs';
import { checkFloors, FloorError } from './floors.mjs';
import { addonPath, bin, extensionPath, root, targetDirectory } from './places.mjs';

/** One step that failed; its own output has said why. */
export class BuildError extends Error {}

/** Installs what the lock file names, builds Rust and TypeScript, and puts the addon and Python's module in place. */
export async function build() {
  checkFloors();
  await installPackages();
  const manifest = ['--manifest-path', 'native/Cargo.toml'];
  await step('native: cargo build', 'cargo', ['build', '--release', '--workspace', ...manifest, ...quiet()]);
  place('libmillpool_node.so', addonPath);
  place('lib_native.so', extensionPath);
  await step('packages: tsc -b', bin('tsc'), ['-b']);
  await step('command: bundle', process.execPath, ['deploy/bundle.mjs']);
}

/** cargo's own progress where somebody watches, else only what goes wrong. */
function quiet() {
  return process.stderr.isTTY ? [] : ['--quiet'];
}

async function installPackages() {
  const stampPath = `${root}/node_modules/.millpool-stamp`;
  const lock = createHash('sha256')
    .update(readFileSync(`${root}/package-lock.json`))
    .digest('hex');
  const stamp = `${lock} node-abi-${process.versions.modules}\n`;
  if (existsSync(stampPath) && readFileSync(stampPath, 'utf8') === stamp) return;
  await step('packages: npm ci', 'npm', ['ci', '--no-audit', '--no-fund', '--loglevel', 'error']);
  writeFileSync(stampPath, stamp);
}

async function step(title, program, args) {
  const startedAt = performance.now();
  process.stderr.write(`${title} …\n`);
  const { code } = await run(program, args, { cwd: root });
  if (code !== 0) throw new BuildError(`${title} failed (exit ${code ?? 'by a signal'}).`);
  process.stderr.write(`${title}: ${((performance.now() - startedAt) / 1000).toFixed(1)} s\n`);
}

/** A running process may have the old library mapped: it is replaced by rename, never written in place. */
function place(library, path) {
  const built = `${targetDirectory}/release/${library}`;
  const next = `${path}.${process.pid}`;
  if (existsSync(path) && readFileSync(built).equals(readFileSync(path))) return;
  try {
    copyFileSync(built, next);
    renameSync(next, path);
  } finally {
    rmSync(next, { force: true });
  }
}

/** Builds, or says in one line why not and sets the exit code. */
export async function buildOrExplain() {
  try {
    await build();
    return true;
  } catch (error) {
    if (!(error instanceof FloorError || error instanceof BuildError)) throw error;
    process.stderr.write(`millpool: ${error.message}\n`);
    process.exitCode = 1;
    return false;
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await buildOrExplain();
