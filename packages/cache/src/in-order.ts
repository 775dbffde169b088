interface Begun<Item> {
  readonly item: Item;
  readonly done: Promise<void>;
}

/**
 * Does the work of so many items at once, and yields each, in their order, when its work and that of all before it is
 * done. The first failure in that order is thrown; whatever ends it, nothing runs any more then.
 */
export async function* inOrder<Item>(
  items: AsyncIterable<Item>,
  atOnce: number,
  work: (item: Item) => Promise<void>,
): AsyncGenerator<Item> {
  const running: Begun<Item>[] = [];
  try {
    for await (const item of items) {
      const done = work(item);
      // Its failure is thrown when its turn comes.
      done.catch(() => undefined);
      running.push({ item, done });
      if (running.length === atOnce) yield await first(running);
    }
    while (running.length > 0) yield await first(running);
  } finally {
    await Promise.allSettled(running.map(({ done }) => done));
  }
}

async function first<Item>(running: Begun<Item>[]): Promise<Item> {
  const [{ item, done }] = running as [Begun<Item>];
  await done;
  running.shift();
  return item;
}
