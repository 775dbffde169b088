import type { SourceFile } from './repository.ts';

const source = 'packages/python/src/';

/** The files of the Python package that one of them imports, wherever the import stands; roots are left out. */
export function pythonUses(file: SourceFile, paths: ReadonlySet<string>): string[] {
  if (!file.path.startsWith(source) || isRoot(file.path)) return [];
  const forms = /^[ \t]*(?:from (millpool[\w.]*) import (\([^)]*\)|.*)|import (millpool[\w.]*))/gm;
  const named = Array.from(file.code.matchAll(forms)).flatMap(([, from, names = '', module = '']) => {
    if (from === undefined) return [module];
    return [from, ...Array.from(names.matchAll(/\w+/g), ([name]) => `${from}.${name}`)];
  });
  const targets = named.map((module) => `${source}${module.replaceAll('.', '/')}.py`);
  return [...new Set(targets)].filter((target) => paths.has(target) && target !== file.path);
}

function isRoot(path: string): boolean {
  return path.endsWith('/__init__.py');
}
