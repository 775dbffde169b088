import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { posix } from 'node:path';
import { lineAt } from './functions.ts';
import { maskPython, maskRust, maskTypeScript } from './mask.ts';

/** A file as the rules see it. `code` is its text without comments and strings (mask.ts); the text itself elsewhere. */
export interface SourceFile {
  readonly path: string;
  readonly text: string;
  readonly code: string;
}

export interface Import {
  readonly specifier: string;
  readonly line: number;
}

export interface Finding {
  readonly path: string;
  readonly line: number;
  readonly text: string;
}

/** What every rule is given: the files, and the manifests among them. */
export class Repository {
  readonly files: readonly SourceFile[];
  readonly #byPath: ReadonlyMap<string, SourceFile>;

  constructor(texts: Iterable<readonly [path: string, text: string]>) {
    this.files = Array.from(texts, ([path, text]) => ({ path, text, code: codeOf(path, text) }));
    this.#byPath = new Map(this.files.map((file) => [file.path, file]));
  }

  file(path: string): SourceFile | undefined {
    return this.#byPath.get(path);
  }

  /** The package.json of a workspace folder, or of the root for ''. */
  manifest(folder: string): Manifest {
    const file = this.file(posix.join(folder, 'package.json'));
    return file === undefined ? {} : (JSON.parse(file.text) as Manifest);
  }
}

export interface Manifest {
  readonly name?: string;
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly devDependencies?: Readonly<Record<string, string>>;
  readonly scripts?: Readonly<Record<string, string>>;
  readonly exports?: Readonly<Record<string, unknown>>;
}

/** Everything git knows or would add, below `root`. Binary files have no rule and are passed over. */
export function readRepository(root: string): Repository {
  const listed = execFileSync('git', ['ls-files', '-z', '--cached', '--others', '--exclude-standard'], { cwd: root });
  const paths = listed
    .toString('utf8')
    .split('\0')
    .filter((path) => path !== '' && existsSync(`${root}/${path}`));
  return new Repository(paths.toSorted().map((path) => [path, readFileSync(`${root}/${path}`, 'utf8')] as const));
}

function codeOf(path: string, text: string): string {
  if (isTypeScript(path) || path.endsWith('.mjs')) return maskTypeScript(text);
  if (path.endsWith('.py')) return maskPython(text);
  return path.endsWith('.rs') ? maskRust(text) : text;
}

export function isTypeScript(path: string): boolean {
  return path.endsWith('.ts');
}

export function isCode(path: string): boolean {
  return /\.(ts|mjs|rs|py)$/.test(path);
}

/** Files that only tests run: they may do what the product may not. */
export function isTest(path: string): boolean {
  return /\.test\.ts$|\/testing\/|^test\/|(^|\/)tests\//.test(path);
}

/** `packages/cache` for packages/cache/src/read.ts; `test` and `bench` are packages too. */
export function packageOf(path: string): string | null {
  return /^(packages\/[^/]+|test|bench)\//.exec(path)?.[1] ?? null;
}

/** Every module that a file names: imports, type imports, re-exports, dynamic ones. */
export function importsOf(file: SourceFile): Import[] {
  const forms = /\b(?:import|export)\b[^;'"`]*?\bfrom\s*['"]|\bimport\s*\(?\s*['"]/g;
  return Array.from(file.code.matchAll(forms), (match) => {
    const start = match.index + match[0].length;
    const end = file.code.slice(start).search(/['"]/) + start;
    return { specifier: file.text.slice(start, end), line: lineAt(file.code, match.index) };
  });
}

/** A relative specifier as a path of the repository; null for a package's name. */
export function resolveImport(from: string, specifier: string): string | null {
  return specifier.startsWith('.') ? posix.join(posix.dirname(from), specifier) : null;
}

/** Each place where `pattern` (with flag g) matches. */
export function matches(file: SourceFile, text: string, pattern: RegExp): Finding[] {
  return Array.from(text.matchAll(pattern), (match) => ({
    path: file.path,
    line: lineAt(text, match.index),
    text: match[0].trim(),
  }));
}
