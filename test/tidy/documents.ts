import { posix } from 'node:path';

import { lineAt } from './functions.ts';
import { isCode } from './repository.ts';
import type { Finding, Repository, SourceFile } from './repository.ts';

/** Other people's texts, whose names are not ours to keep. */
const foreign = new Set(['THIRD-PARTY-NOTICES.md']);
/** The kernel's. */
const namesOfOthers = new Set(['F_SEAL_FUTURE_WRITE', 'SCM_RIGHTS']);

const fileName = /^[\w-]+(?:\.[\w-]+)*\.(?:ts|rs|mjs|py|md|json|toml|tsv)$/;
/** Of several words: one word alone may be anything. */
const identifier = /^(?:[a-z]+(?:[A-Z][a-z0-9]+)+|[a-z]+(?:_[a-z0-9]+)+|[A-Z]+(?:_[A-Z]+)+)$/;
const command = /^packages\/cli\/src\/commands\/([a-z]+)\.ts$/;

/** What documents put in backticks and the repository does not have: paths, files, identifiers, scripts, commands. */
export function absentNames(repository: Repository): Finding[] {
  const has = knownNames(repository);
  return repository.files
    .filter(({ path }) => path.endsWith('.md') && !foreign.has(path))
    .flatMap((file) => quotedNames(file).filter(({ text }) => !has(text)));
}

function quotedNames(file: SourceFile): Finding[] {
  return Array.from(file.text.matchAll(/`([^`\n]+)`/g), ({ 1: text = '', index }) => {
    return { path: file.path, line: lineAt(file.text, index), text };
  });
}

/** Says of a quoted text whether it names nothing of ours, or something that is there. */
function knownNames(repository: Repository): (text: string) => boolean {
  const paths = new Set(repository.files.flatMap(({ path }) => [path, ...foldersOf(path)]));
  const tops = new Set(Array.from(paths, (path) => path.split('/')[0]));
  const bases = new Set(Array.from(paths, (path) => posix.basename(path)));
  const verbs = new Set(repository.files.map(({ path }) => command.exec(path)?.[1]));
  const scripts = repository.manifest('').scripts ?? {};
  const code = repository.files.filter(({ path }) => isCode(path) && !path.startsWith('test/tidy/'));
  return (text) => {
    const [first = '', second = '', third = ''] = text.split(/\s+/);
    if (first === 'npm' && second === 'run') return third in scripts;
    if (first === 'millpool' && /^[a-z]+$/.test(second)) return verbs.has(second);
    if (text !== first) return true;
    if (text.includes('/')) return !tops.has(text.split('/')[0]) || paths.has(text.replace(/\/$/, ''));
    if (fileName.test(text)) return text.startsWith('x.') || bases.has(text);
    return !identifier.test(text) || namesOfOthers.has(text) || code.some((file) => file.text.includes(text));
  };
}

function foldersOf(path: string): string[] {
  const parts = path.split('/');
  return parts.slice(1).map((_, depth) => parts.slice(0, depth + 1).join('/'));
}
