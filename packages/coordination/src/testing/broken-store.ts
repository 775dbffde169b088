import type { CoordStore } from '../store.ts';

/** `store` with some methods replaced by wrong ones. */
export function broken(store: CoordStore, wrong: Partial<CoordStore>): CoordStore {
  return new Proxy(store, {
    get: (target, name) => {
      const method: unknown = Reflect.get(wrong, name) ?? Reflect.get(target, name);
      return typeof method === 'function' ? method.bind(name in wrong ? wrong : target) : method;
    },
  });
}
