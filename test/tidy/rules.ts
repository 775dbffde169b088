import { posix } from 'node:path';

import { cyclesOf } from './cycles.ts';
import { absentNames } from './documents.ts';
import { pythonFunctions, rustFunctions, typeScriptFunctions } from './functions.ts';
import { pythonUses } from './python-uses.ts';
import { importsOf, isCode, isTest, isTypeScript, matches, packageOf, resolveImport } from './repository.ts';
import type { Finding, Manifest, Repository, SourceFile } from './repository.ts';
import { rustUses } from './rust-uses.ts';

/** One thing that the repository promises of itself. */
export interface Rule {
  readonly name: string;
  /** Why, and what to write instead. */
  readonly instead: string;
  readonly find: (repository: Repository) => readonly Finding[];
}

const linesMax = 500;
const functionLinesMax = 70;
const columnsMax = 120;
const parametersMax = 4;
const optionalFieldsMax = 6;

/** Which of ours a package may import (docs/architecture.md). Adding an arrow is a change of the design. */
const arrows: Readonly<Record<string, readonly string[] | 'all'>> = {
  protocol: [],
  host: ['protocol'],
  native: ['protocol'],
  transport: ['protocol', 'host'],
  'under-storage': ['protocol', 'host', 'native'],
  coordination: ['protocol', 'host'],
  metadata: ['protocol', 'host', 'native', 'transport', 'under-storage', 'coordination'],
  cache: ['protocol', 'host', 'native', 'transport', 'under-storage', 'coordination', 'metadata'],
  client: ['protocol', 'host', 'native'],
  mount: ['protocol', 'host', 'native', 'transport'],
  cli: 'all',
};

const crates: Readonly<Record<string, readonly string[]>> = {
  core: [],
  flow: ['core'],
  source: ['core'],
  fuse: ['core', 'flow'],
  node: ['core', 'flow', 'source', 'fuse'],
  python: ['core', 'flow', 'source', 'fuse'],
  // No part of the product.
  bench: ['core'],
};

const topFolders = ['.cargo', '.ci', 'bench', 'deploy', 'docs', 'native', 'packages', 'test'];
const endings =
  /\.(ts|mjs|rs|py|pyi|json|md|toml|tsv|txt|lock|sh|yaml)$|^\.gitignore$|^LICENSE$|^NOTICE$|^\.ci\/run$|\/py\.typed$/;
/** Their methods are called by fsspec, in its own way. */
const interfacesOfOthers = new Set(['packages/python/src/millpool/fsspec.py']);
const publicOptions = new Set(['LoaderOptions', 'NativeSource', 'AttachOptions']);

export const rules: readonly Rule[] = [
  perFile('a file is at most 500 lines', 'Give each noun in it a file of its own.', isCode, (file) => {
    const lines = file.text.trimEnd().split('\n').length;
    return lines > linesMax ? [at(file, linesMax + 1, `${lines} lines`)] : [];
  }),
  perFile('a function is at most 70 lines', 'Give each of its steps a name.', isCode, (file) =>
    functionsOf(file)
      .filter((shape) => shape.lines > functionLinesMax)
      .map((shape) => at(file, shape.line, `${shape.name}: ${shape.lines} lines`)),
  ),
  perFile('a function takes at most 4 parameters', 'Name them in one object.', isCode, (file) =>
    functionsOf(file)
      .filter((shape) => shape.parameters > parametersMax && !interfacesOfOthers.has(file.path))
      .map((shape) => at(file, shape.line, `${shape.name}: ${shape.parameters} parameters`)),
  ),
  perFile('a line is at most 120 columns', 'Break it.', isCode, (file) =>
    file.text
      .split('\n')
      .flatMap((line, i) => (line.length > columnsMax ? [at(file, i + 1, `${line.length} columns`)] : [])),
  ),
  {
    name: 'arrows between packages go one way',
    instead: 'See docs/architecture.md for the arrows that there are.',
    find: wrongArrows,
  },
  { name: 'every import is declared', instead: 'Name the package in package.json.', find: undeclared },
  { name: 'crates need only what is below them', instead: 'See docs/architecture.md.', find: wrongCrates },
  {
    name: 'files import no cycle',
    instead: 'Move what both need below both.',
    find: ({ files }) =>
      cycles(
        files.filter(({ path }) => isTypeScript(path)),
        importedFiles,
      ),
  },
  {
    name: 'modules of a crate use no cycle',
    instead: 'Move what both need below both.',
    find: ({ files }) => {
      const paths = new Set(files.map(({ path }) => path));
      return cycles(
        files.filter(({ path }) => path.endsWith('.rs')),
        (file) => rustUses(file, paths),
      );
    },
  },
  {
    name: 'modules of the Python package import no cycle',
    instead: 'Move what both need below both.',
    find: ({ files }) => {
      const paths = new Set(files.map(({ path }) => path));
      return cycles(
        files.filter(({ path }) => path.endsWith('.py')),
        (file) => pythonUses(file, paths),
      );
    },
  },
  perFile('nobody reaches into a package', 'Import it by its name.', isTypeScript, (file) =>
    importsOf(file).flatMap(({ specifier, line }) => {
      const target = resolveImport(file.path, specifier);
      const leaves = target !== null && packageOf(target) !== packageOf(file.path);
      return leaves || /@millpool\/[^/]+\/(dist|src)\b/.test(specifier) ? [at(file, line, specifier)] : [];
    }),
  ),
  perFile('a package does not import its own index', 'Import the file that has the name.', isTypeScript, (file) =>
    importsOf(file)
      .filter(({ specifier }) => /^\.{1,2}\/(?:.*\/)?index\.ts$/.test(specifier))
      .map(({ specifier, line }) => at(file, line, specifier)),
  ),
  perFile('testing/ is for tests', 'Product code has no use for it.', isTypeScript, (file) =>
    isTest(file.path) || file.path.startsWith('bench/')
      ? []
      : importsOf(file)
          .filter(({ specifier }) => /(^|\/)testing(\/|$)/.test(specifier))
          .map(({ specifier, line }) => at(file, line, specifier)),
  ),
  banned('exports are written out', 'Name what is exported.', /^export\s+(?:type\s+)?\*/gm),
  banned('only errors are thrown', 'Throw a MillpoolError.', /\bthrow\s+(?:['"`{[]|\d)/g),
  banned(
    'types are not escaped from',
    'Check the value, and give it its type.',
    /\bas any\b|:\s*any\b|\bas unknown as\b/g,
  ),
  perFile('the compiler is not silenced', 'Mend what it says.', isTypeScript, (file) =>
    matches(file, file.text, /@ts-(?:ignore|expect-error|nocheck)/g).filter(() => !file.path.startsWith('test/tidy/')),
  ),
  product(
    'only the command speaks and ends',
    'Throw, log, or return.',
    /\bconsole\.|\bprocess\.exit\(|^[ \t]*print\(|\bsys\.exit\(/gm,
    /^packages\/cli\/|^packages\/python\/examples\/|^test\/|^deploy\//,
  ),
  perFile('tests are neither skipped nor alone', 'Say why in a skip at run time, or remove it.', isCode, (file) =>
    matches(file, file.code, /\b(?:test|it|describe)\.(?:skip|only|todo)\(|#\[ignore|\bmark\.(?:skip|skipif|xfail)\b/g),
  ),
  perFile('nothing is left for later', 'Do it, or say it in an issue.', isCode, (file) =>
    file.path.startsWith('test/tidy/')
      ? []
      : matches(file, file.text, /\b(?:TODO|FIXME|XXX|HACK)\b|\b(?:todo|unimplemented)!\(/g),
  ),
  product(
    'a name says what it is',
    'Name the job, not that there is one.',
    /\b(?:class|interface|struct|trait)\s+(?:\w+(?:Manager|Helper|Utils?|Processor|Impl)|(?:Abstract|Base)[A-Z]\w*)\b/g,
  ),
  { name: 'folders and files are nouns', instead: 'No utils, helpers, common, shared, misc, lib.', find: badNames },
  { name: 'a type has at most 6 optional fields', instead: 'Each is a branch; cut the type.', find: optionBags },
  { name: 'documents name what is there', instead: 'Write what it is called now.', find: absentNames },
  perFile(
    'documents cite names, not lines',
    'Name the function.',
    (path) => path.endsWith('.md'),
    (file) => matches(file, file.text, /\b[\w/-]+\.(?:ts|rs|py|mjs):\d+/g),
  ),
];

function perFile(
  name: string,
  instead: string,
  applies: (path: string) => boolean,
  find: (file: SourceFile) => readonly Finding[],
): Rule {
  return { name, instead, find: ({ files }) => files.filter((file) => applies(file.path)).flatMap(find) };
}

/** A pattern that no TypeScript of ours may hold. */
function banned(name: string, instead: string, pattern: RegExp): Rule {
  return perFile(name, instead, isTypeScript, (file) => matches(file, file.code, pattern));
}

/** The same, tests and benches apart, and files that match `save`. */
function product(name: string, instead: string, pattern: RegExp, save = /^$/): Rule {
  const applies = (path: string): boolean =>
    /\.(ts|rs|py)$/.test(path) && !isTest(path) && !path.startsWith('bench/') && !save.test(path);
  return perFile(name, instead, applies, (file) => matches(file, file.code, pattern));
}

function at(file: SourceFile, line: number, text: string): Finding {
  return { path: file.path, line, text };
}

function functionsOf(file: SourceFile): ReturnType<typeof rustFunctions> {
  if (file.path.endsWith('.rs')) return rustFunctions(file.code);
  return file.path.endsWith('.py') ? pythonFunctions(file.code) : typeScriptFunctions(file.code);
}

/** `cache` of `@millpool/cache` or `@millpool/cache/testing`. */
function ours(specifier: string): string | null {
  return /^@millpool\/([^/]+)/.exec(specifier)?.[1] ?? null;
}

function wrongArrows({ files }: Repository): Finding[] {
  return files.flatMap((file) => {
    const from = /^packages\/([^/]+)\/src\//.exec(file.path)?.[1];
    const allowed = from === undefined ? 'all' : (arrows[from] ?? []);
    if (allowed === 'all' || !isTypeScript(file.path)) return [];
    return importsOf(file).flatMap(({ specifier, line }) => {
      const to = ours(specifier);
      return to === null || to === from || allowed.includes(to) ? [] : [at(file, line, `${from} → ${to}`)];
    });
  });
}

function undeclared(repository: Repository): Finding[] {
  return repository.files.flatMap((file) => {
    const folder = packageOf(file.path);
    const manifest = folder === null ? undefined : repository.file(`${folder}/package.json`);
    if (manifest === undefined || !isTypeScript(file.path)) return [];
    const own = JSON.parse(manifest.text) as Manifest;
    const root = JSON.parse(repository.file('package.json')?.text ?? '{}') as Manifest;
    const declared = {
      ...own.dependencies,
      ...own.devDependencies,
      ...(isTest(file.path) ? root.devDependencies : {}),
    };
    return importsOf(file).flatMap(({ specifier, line }) => {
      if (specifier.startsWith('.') || specifier.startsWith('node:')) return [];
      const name = specifier
        .split('/')
        .slice(0, specifier.startsWith('@') ? 2 : 1)
        .join('/');
      return name === own.name || name in declared ? [] : [at(file, line, name)];
    });
  });
}

function wrongCrates({ files }: Repository): Finding[] {
  return files.flatMap((file) => {
    const crate = /^native\/([^/]+)\/Cargo\.toml$/.exec(file.path)?.[1];
    if (crate === undefined) return [];
    return matches(file, file.text, /^millpool-\w+/gm).filter(({ text }) => {
      return !(crates[crate] ?? []).includes(text.replace('millpool-', ''));
    });
  });
}

function importedFiles(file: SourceFile): readonly string[] {
  const imports = importsOf(file).map(({ specifier }) => resolveImport(file.path, specifier));
  return imports.filter((target) => target !== null);
}

function cycles(files: readonly SourceFile[], targetsOf: (file: SourceFile) => readonly string[]): Finding[] {
  const targets = new Map(files.map((file) => [file.path, targetsOf(file)] as const));
  return cyclesOf(targets).map((cycle) => ({ path: cycle[0] ?? '', line: 1, text: cycle.join(' → ') }));
}

function badNames({ files }: Repository): Finding[] {
  const dumping = /(^|\/)(utils?|helpers?|common|shared|misc)(\/|\.(ts|rs|mjs|py)$)/;
  return files.flatMap((file) => {
    const name = posix.basename(file.path);
    const top = file.path.includes('/') ? file.path.slice(0, file.path.indexOf('/')) : '';
    const wrong =
      dumping.test(file.path) ||
      (top !== '' && !topFolders.includes(top)) ||
      (/\.(ts|mjs)$/.test(name) && !/^[a-z0-9]+(-[a-z0-9]+)*(\.test|\.d)?\.(ts|mjs)$/.test(name)) ||
      (/\.(rs|py|pyi)$/.test(name) && !/^[a-z0-9_]+\.(rs|py|pyi)$/.test(name)) ||
      !(endings.test(name) || endings.test(file.path));
    return wrong ? [at(file, 1, name)] : [];
  });
}

function optionBags({ files }: Repository): Finding[] {
  return files
    .filter((file) => isTypeScript(file.path))
    .flatMap((file) =>
      Array.from(file.code.matchAll(/^(?:export )?(?:interface|type) (\w+)[^{;]*\{([^}]*)\}/gm)).flatMap((match) => {
        const optional = (match[2] ?? '').match(/^\s+(?:readonly )?\w+\?:/gm)?.length ?? 0;
        const line = file.code.slice(0, match.index).split('\n').length;
        const tooMany = optional > optionalFieldsMax && !publicOptions.has(match[1] ?? '');
        return tooMany ? [at(file, line, `${match[1]}: ${optional}`)] : [];
      }),
    );
}
