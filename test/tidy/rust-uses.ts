import { posix } from 'node:path';

import type { SourceFile } from './repository.ts';

/**
 * The module files of its own crate that a Rust file uses, by `crate::…` and `super::…`. Roots (lib.rs, main.rs,
 * mod.rs) are left out on both sides: a parent names its children, and they what it holds for all of them.
 */
export function rustUses(file: SourceFile, paths: ReadonlySet<string>): string[] {
  const source = /^(native\/[^/]+\/src)\//.exec(file.path)?.[1];
  if (source === undefined || isRoot(file.path)) return [];
  const product = file.code.slice(0, file.code.search(/#\[cfg\(test\)\]\s*mod tests\b|$/));
  const parent = posix.dirname(file.path);
  return Array.from(product.matchAll(/\b(crate|super)((?:::[a-z_0-9]+)+)/g)).flatMap((match) => {
    const [, from = '', names = ''] = match;
    const target = moduleAt(from === 'crate' ? source : parent, names.split('::').slice(1), paths);
    return target === null || target === file.path ? [] : [target];
  });
}

/** The file of the longest beginning of `names` that is a module below `folder`. */
function moduleAt(folder: string, names: readonly string[], paths: ReadonlySet<string>): string | null {
  for (let length = names.length; length > 0; length -= 1) {
    const path = `${posix.join(folder, ...names.slice(0, length))}.rs`;
    if (paths.has(path)) return path;
  }
  return null;
}

function isRoot(path: string): boolean {
  return /\/(lib|main|mod)\.rs$/.test(path);
}
