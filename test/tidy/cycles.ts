/** Each knot of files that import each other, in the order of the imports (Tarjan 1972). Type imports count. */
export function cyclesOf(targets: ReadonlyMap<string, readonly string[]>): string[][] {
  const index = new Map<string, number>();
  const low = new Map<string, number>();
  const stack: string[] = [];
  const knots: string[][] = [];
  const visit = (node: string): void => {
    index.set(node, index.size);
    low.set(node, index.get(node) ?? 0);
    stack.push(node);
    for (const next of targets.get(node) ?? []) {
      if (!targets.has(next)) continue;
      if (!index.has(next)) visit(next);
      if (stack.includes(next)) low.set(node, Math.min(low.get(node) ?? 0, low.get(next) ?? 0));
    }
    if (low.get(node) !== index.get(node)) return;
    const knot = stack.splice(stack.indexOf(node));
    if (knot.length > 1 || (targets.get(node) ?? []).includes(node)) knots.push(knot);
  };
  for (const node of targets.keys()) if (!index.has(node)) visit(node);
  return knots;
}
