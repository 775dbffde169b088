import { posix } from 'node:path';
import { importCycles } from './cycles.ts';
import { lineAt } from './functions.ts';
import { importsOf, isTest, isTypeScript, packageOf, resolveImport } from './repository.ts';
import type { Finding, Import, Repository, SourceFile } from './repository.ts';
import { eachFile, type Rule } from './rule.ts';

/** Package → what of ours it may import. A change here is a change of the design. */
const arrows: Readonly<Record<string, readonly string[]>> = {
  protocol: [],
  host: ['protocol'],
  native: ['protocol'],
  transport: ['protocol', 'host'],
  'under-storage': ['protocol', 'host'],
  coordination: ['protocol', 'host'],
  metadata: ['protocol', 'host', 'transport', 'under-storage', 'coordination'],
  cache: ['protocol', 'host', 'native', 'transport', 'under-storage', 'coordination', 'metadata'],
  client: ['protocol', 'host', 'native'],
  mount: ['protocol', 'host', 'native', 'transport'],
};

/** Packages that may import every other: they only put things together. */
const assembling = new Set(['packages/cli', 'test', 'bench']);

/** Crate folder → crates of ours that it may depend on. */
const crateArrows: Readonly<Record<string, readonly string[]>> = {
  'native/core': [],
  'native/flow': ['core'],
  'native/source': ['core'],
  'native/fuse': ['core', 'flow'],
  'native/node': ['core', 'flow', 'source'],
  'native/python': ['core', 'flow', 'source'],
  'bench/server': [],
};

function eachImport(check: (file: SourceFile, found: Import, repository: Repository) => string | null): Rule['check'] {
  return (repository) =>
    repository.files.filter(({ path }) => isTypeScript(path)).flatMap((file) =>
      importsOf(file).flatMap((found) => {
        const text = check(file, found, repository);
        return text === null ? [] : [{ path: file.path, line: found.line, text }];
      }),
    );
}

/** `@millpool/cache/x` → `cache`; null for what is not ours. */
function ours(specifier: string): string | null {
  return /^@millpool\/([^/]+)/.exec(specifier)?.[1] ?? null;
}

function againstArrow(file: SourceFile, { specifier }: Import): string | null {
  const from = packageOf(file.path);
  const to = ours(specifier);
  if (from === null || to === null || assembling.has(from)) return null;
  const name = from.replace('packages/', '');
  const allowed = arrows[name] ?? [];
  return to === name || allowed.includes(to) ? null : `${name} → ${to}`;
}

function undeclared(file: SourceFile, { specifier }: Import, repository: Repository): string | null {
  const folder = packageOf(file.path);
  if (folder === null || specifier.startsWith('.') || specifier.startsWith('node:')) return null;
  const name = specifier.split('/').slice(0, specifier.startsWith('@') ? 2 : 1).join('/');
  const own = repository.manifest(folder);
  const forTests = isTest(file.path) ? { ...repository.manifest('').devDependencies, ...own.devDependencies } : {};
  return name in { ...own.dependencies, ...forTests } || name === own.name ? null : `${name} is not in ${folder}/package.json`;
}

function deep(file: SourceFile, { specifier }: Import, repository: Repository): string | null {
  const target = resolveImport(file.path, specifier);
  if (target !== null) return packageOf(target) === packageOf(file.path) ? null : `${specifier} leaves its package`;
  const name = ours(specifier);
  if (name === null) return null;
  const folder = name === 'test' || name === 'bench' ? name : `packages/${name}`;
  const subpath = `.${specifier.slice('@millpool/'.length + name.length)}`;
  return subpath in (repository.manifest(folder).exports ?? {}) ? null : `${specifier} is not exported`;
}

function ownIndex(file: SourceFile, { specifier }: Import): string | null {
  const target = resolveImport(file.path, specifier);
  if (target === null || posix.basename(target) !== 'index.ts') return null;
  return isTest(file.path) && target.includes('/testing/') ? null : specifier;
}

function testingInProduct(file: SourceFile, { specifier }: Import): string | null {
  if (isTest(file.path) || packageOf(file.path) === 'bench') return null;
  return /(^|\/)testing(\/|$)/.test(specifier) || specifier.startsWith('@millpool/test') ? specifier : null;
}

function starExports(file: SourceFile): Finding[] {
  return Array.from(file.code.matchAll(/\bexport\s+(?:type\s+)?\*/g), (match) => ({
    path: file.path,
    line: lineAt(file.code, match.index),
    text: match[0],
  }));
}

function crateDependencies(repository: Repository): Finding[] {
  const manifests = repository.files.filter(({ path }) => /^(native|bench)\/[^/]+\/Cargo\.toml$/.test(path));
  return manifests.flatMap(({ path, text }) => {
    const allowed = crateArrows[posix.dirname(path)];
    if (allowed === undefined) return [{ path, line: 1, text: 'a crate that the table of crates does not name' }];
    return Array.from(text.matchAll(/^millpool-([\w-]+)\b/gm))
      .filter((match) => !allowed.includes(match[1] ?? ''))
      .map((match) => ({ path, line: lineAt(text, match.index), text: `${posix.basename(posix.dirname(path))} → ${match[1]}` }));
  });
}

export const importRules: readonly Rule[] = [
  {
    name: 'package-arrows',
    what: 'A package imports only what the table of arrows allows.',
    why: 'The arrows are the architecture: with one against the stream there is no part that can be read alone.',
    instead: 'Put what both need into the lower package that owns the noun, or pass it in from above.',
    check: eachImport(againstArrow),
  },
  {
    name: 'crate-arrows',
    what: 'A crate depends only on the crates that the table allows.',
    why: 'core knows no runtime and no binding; glue crates hold no logic.',
    instead: 'Move the noun down into core, or pass it through a trait that core declares.',
    check: crateDependencies,
  },
  {
    name: 'declared-dependencies',
    what: 'A package imports only what its own package.json names.',
    why: 'An undeclared one is found by hoisting here and missing where the package is installed alone.',
    instead: 'Declare it in that package, or do without.',
    check: eachImport(undeclared),
  },
  {
    name: 'deep-import',
    what: 'Another package is imported by its name and exported paths only.',
    why: 'What is not exported may change without notice.',
    instead: 'Export the name from its index.ts, if it belongs to its public face.',
    check: eachImport(deep),
  },
  {
    name: 'own-index',
    what: 'No file imports the index.ts of its own package.',
    why: 'It makes a cycle of the whole package.',
    instead: 'Import the file that declares the name.',
    check: eachImport(ownIndex),
  },
  {
    name: 'import-cycle',
    what: 'Files of a package import each other without a cycle, type imports included.',
    why: 'Files in a cycle can only be understood, and changed, together.',
    instead: 'Move what both need into a file below them.',
    check: importCycles,
  },
  {
    name: 'testing-only-in-tests',
    what: 'Only tests and benchmarks import testing/ folders and the harness.',
    why: 'Fakes and hand-turned clocks must not reach a running product.',
    instead: 'Depend on the contract, and choose the real thing.',
    check: eachImport(testingInProduct),
  },
  {
    name: 'star-export',
    what: 'Public names are written out; nothing is exported by star.',
    why: 'A reader must see the public face of a package in one file.',
    instead: 'Name each export.',
    check: eachFile(isTypeScript, starExports),
  },
];
