import { importsOf, isTypeScript, resolveImport, type Finding, type Repository } from './repository.ts';

/** One finding for each cycle that a walk over the files' relative imports closes. */
export function importCycles(repository: Repository): Finding[] {
  const graph = new Map(
    repository.files.filter(({ path }) => isTypeScript(path)).map((file) => {
      const targets = importsOf(file).map(({ specifier }) => resolveImport(file.path, specifier));
      return [file.path, targets.filter((target) => target !== null)] as const;
    }),
  );
  const findings: Finding[] = [];
  const done = new Set<string>();
  const trail: string[] = [];
  const visit = (path: string): void => {
    const seenAt = trail.indexOf(path);
    if (seenAt >= 0) {
      const cycle = [...trail.slice(seenAt), path];
      findings.push({ path, line: 1, text: cycle.join(' → ') });
      return;
    }
    if (done.has(path)) return;
    trail.push(path);
    for (const target of graph.get(path) ?? []) visit(target);
    trail.pop();
    done.add(path);
  };
  for (const path of graph.keys()) visit(path);
  return findings;
}
