/**
 * Entries of one directory stand in the order of their names; whole paths do not: a directory's stand where its name
 * with a slash would (`a-b` before `a/x`, though `a` comes before `a-b`). So a directory waits until nothing that is to
 * come goes before it. Names here are in the `order` form of entries.ts, where `<` is the order of bytes.
 */
export class PathOrder {
  /** Each begins with the one below it, and goes before it: a name that goes on after it with less than a slash. */
  readonly #waiting: string[] = [];

  wait(directory: string): void {
    this.#waiting.push(directory);
  }

  /** The waiting directory that goes before a file or directory of this name; null for the end of names takes all. */
  due(next: string | null): string | null {
    const last = this.#waiting.at(-1);
    if (last === undefined || (next !== null && `${last}/` > next)) return null;
    this.#waiting.pop();
    return last;
  }
}

/**
 * The names shorter than `name` whose directories go after it, shortest first: whoever starts there may have missed
 * them.
 */
export function namesAround(name: string): string[] {
  const found: string[] = [];
  for (let length = 1; length < name.length; length += 1) {
    if (name.charCodeAt(length) < 0x2f) found.push(name.slice(0, length));
  }
  return found;
}
