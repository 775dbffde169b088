// All of the program in one file, and beside it what V8 made of that file at build time. V8 takes no code of another
// version or other flags of its own, and then compiles as it goes.
import { readFileSync, renameSync, statSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Script } from 'node:vm';

export const bundlePath = fileURLToPath(new URL('../bundle/millpool.cjs', import.meta.url));

/** The names in it are the ones that Node gives to a CommonJS file. */
const parameters = 'require, __filename';

/** When it was made, in ms; null where it is not. */
export function bundleMadeMs() {
  return statSync(bundlePath, { throwIfNoEntry: false })?.mtimeMs ?? null;
}

/** Of V8 the length of a source is enough to believe code to be of it, so the name of the code says whose it is. */
function codePathOf(source) {
  const [, build = 'none'] = /^[/][*] build (\w+) [*][/]/.exec(source) ?? [];
  return join(dirname(bundlePath), `${build}.code`);
}

function readCode(path) {
  try {
    return readFileSync(path);
  } catch {
    return undefined;
  }
}

/** A file that takes its name once it is whole: a build may be cut off, and commands start meanwhile. */
export function writeWhole(path, content) {
  writeFileSync(`${path}.new`, content);
  renameSync(`${path}.new`, path);
}

/** `run` runs the command line of this process, and `keepCode` keeps for later ones what V8 has compiled since. */
export function compileBundle() {
  const source = readFileSync(bundlePath, 'latin1');
  const codePath = codePathOf(source);
  const cachedData = readCode(codePath);
  const wrapped = `(function (${parameters}) {${source}\n})`;
  const script = new Script(wrapped, { filename: bundlePath, cachedData });
  return {
    isCodeTaken: cachedData !== undefined && !script.cachedDataRejected,
    run: () => script.runInThisContext()(createRequire(bundlePath), bundlePath),
    keepCode: () => writeWhole(codePath, script.createCachedData()),
  };
}
