import { posix } from 'node:path';
import { isCode, matches, type Finding, type Repository, type SourceFile } from './repository.ts';
import { banned, eachFile, type Rule } from './rule.ts';

const emptyWords = new Set(['util', 'utils', 'helper', 'helpers', 'common', 'shared', 'misc', 'lib', 'types']);
const emptyTypeName =
  /\b(?:class|interface|type|struct|enum|trait)\s+(?:\w+(?:Manager|Helper|Helpers|Utils?|Impl)|(?:Abstract|Base)[A-Z]\w*)\b/g;

const endings = /(?:\.(?:ts|mjs|rs|toml|lock|json|md)|(?:^|\/)(?:LICENSE|NOTICE|\.gitignore|\.ci\/run))$/;
const topLevel = new Set([
  ...['.ci', 'bench', 'deploy', 'docs', 'native', 'packages', 'test'],
  ...['.gitignore', '.oxlintrc.json', 'package.json', 'package-lock.json', 'tsconfig.json', 'tsconfig.base.json'],
  ...['README.md', 'CONTRIBUTING.md', 'SECURITY.md', 'CHANGELOG.md', 'LICENSE', 'NOTICE', 'THIRD-PARTY-NOTICES.md'],
]);

function eachPath(check: (path: string) => string | null): (repository: Repository) => Finding[] {
  return ({ files }) =>
    files.flatMap(({ path }) => {
      const text = check(path);
      return text === null ? [] : [{ path, line: 1, text }];
    });
}

/** Cargo's own name for a library's root is the one exception. */
function emptyWord(path: string): string | null {
  if (!isCode(path) || posix.basename(path) === 'lib.rs') return null;
  const parts = path.split('/').map((part) => part.replace(/\..*$/, ''));
  return parts.find((part) => emptyWords.has(part)) ?? null;
}

function wrongCase(path: string): string | null {
  const name = posix.basename(path);
  if (/\.(ts|mjs)$/.test(name)) return /^[a-z0-9]+(-[a-z0-9]+)*(\.(test|d))?\.(ts|mjs)$/.test(name) ? null : 'kebab-case';
  if (/\.(rs|py)$/.test(name)) return /^_{0,2}[a-z0-9]+(_[a-z0-9]+)*(__)?\.(rs|py)$/.test(name) ? null : 'snake_case';
  return null;
}

function strangeEnding(path: string): string | null {
  return endings.test(path) ? null : posix.basename(path);
}

function strangeTop(path: string): string | null {
  const [top = ''] = path.split('/');
  return topLevel.has(top) ? null : top;
}

function lineCitations(file: SourceFile): Finding[] {
  return matches(file, file.text, /\b[\w-]+\.(?:ts|mjs|rs|py):\d+/g);
}

export const nameRules: readonly Rule[] = [
  {
    name: 'empty-words',
    what: 'No file or folder is called utils, helpers, common, shared, misc, lib or types.',
    why: 'A name that says nothing collects everything.',
    instead: 'Name it for the noun it holds; if there are several, they are several files.',
    check: eachPath(emptyWord),
  },
  {
    name: 'empty-type-names',
    what: 'No type is a Manager, Helper, Util, Impl, Abstract… or Base….',
    why: 'Where the job has no name the cut is wrong.',
    instead: 'Name the actor by its job: writer, reader, scanner, ring.',
    check: banned(() => true, emptyTypeName),
  },
  {
    name: 'file-case',
    what: 'TypeScript files are kebab-case; Rust and Python files are snake_case.',
    why: 'One spelling for one name, on every file system.',
    instead: 'Rename the file for its main export in that case.',
    check: eachPath(wrongCase),
  },
  {
    name: 'file-endings',
    what: 'Only the file endings listed in the rule are kept.',
    why: 'Build products and notes get committed by mistake.',
    instead: 'Ignore it, or add its ending to the list with the change that needs it.',
    check: eachPath(strangeEnding),
  },
  {
    name: 'top-level',
    what: 'The top level holds only the folders and files listed in the rule.',
    why: 'It is the first page that a reader sees.',
    instead: 'Put it into the folder that it belongs to.',
    check: eachPath(strangeTop),
  },
  {
    name: 'line-citations',
    what: 'Documents cite names, not line numbers.',
    why: 'A line number is wrong after the next change above it.',
    instead: 'Cite the file and the function.',
    check: eachFile((path) => path.endsWith('.md'), lineCitations),
  },
];
