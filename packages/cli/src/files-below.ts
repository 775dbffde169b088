import { isBelow, MillpoolError, parsePath } from '@millpool/protocol';
import type { Entry, StatResult } from '@millpool/protocol';

import type { Tools } from './command-context.ts';
import { listPages } from './list-pages.ts';

/** The entry of one path, or why there is none. */
export async function entryAt(path: string, { session, signal }: Tools): Promise<Extract<StatResult, Entry>> {
  const { results } = await session.call('stat', { paths: [path] }, { signal });
  const [found] = results;
  if (found === undefined || 'error' in found) {
    throw new MillpoolError(found?.error ?? { code: 'not-found', message: `No ${path}.`, remedy: 'Look with `ls`.' });
  }
  return found;
}

/** Every file at or below a path, in path order, a page at a time. */
export async function* filesBelow(path: string, tools: Tools): AsyncGenerator<readonly Entry[]> {
  const found = await entryAt(path, tools);
  if (found.type === 'file') {
    yield [found];
    return;
  }
  yield* listPages(path, true, tools);
}

/**
 * The directories from `root` on that files in path order lie in, each as it is entered and left: all that is below a
 * directory stands together in that order.
 */
export class OpenDirectories {
  readonly #root: string;
  #open: string[] = [];

  constructor(root: string) {
    this.#root = parsePath(root);
  }

  /** Those left and entered on the way to a file, the innermost left first, the outermost entered first. */
  next(file: string): { readonly left: readonly string[]; readonly entered: readonly string[] } {
    const stay = this.#open.findIndex((directory) => !isBelow(file, directory));
    const left = stay === -1 ? [] : this.#open.splice(stay).toReversed();
    const entered: string[] = [];
    if (this.#open.length === 0 && isBelow(file, this.#root)) entered.push(this.#root);
    const from = (this.#open.at(-1) ?? this.#root).length;
    for (let slash = file.indexOf('/', from === 1 ? 1 : from + 1); slash !== -1; slash = file.indexOf('/', slash + 1)) {
      entered.push(file.slice(0, slash));
    }
    this.#open.push(...entered);
    return { left, entered };
  }

  /** Those that are still open, the innermost first. */
  end(): readonly string[] {
    const left = this.#open.toReversed();
    this.#open = [];
    return left;
  }
}
