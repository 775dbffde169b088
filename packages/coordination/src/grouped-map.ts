/** Values by names, and by what names have up to their first slash. */
export class GroupedMap<T> {
  /** Names of what is there and is no value. */
  readonly damaged = new Set<string>();
  readonly #all = new Map<string, T>();
  readonly #groups = new Map<string, Map<string, T>>();

  get all(): ReadonlyMap<string, T> {
    return this.#all;
  }

  /** Those whose names begin with `group`, which ends with its only slash. */
  below(group: string): ReadonlyMap<string, T> {
    return this.#groups.get(group) ?? new Map();
  }

  set(name: string, value: T): void {
    this.damaged.delete(name);
    this.#all.set(name, value);
    const group = groupOf(name);
    const same = this.#groups.get(group);
    if (same === undefined) this.#groups.set(group, new Map([[name, value]]));
    else same.set(name, value);
  }

  delete(name: string): void {
    this.damaged.delete(name);
    this.#all.delete(name);
    this.#groups.get(groupOf(name))?.delete(name);
  }
}

function groupOf(name: string): string {
  return name.slice(0, name.indexOf('/') + 1);
}
