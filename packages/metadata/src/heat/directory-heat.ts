import type { DirectoryHeat } from '@millpool/protocol';

/**
 * One directory as all who serve it counted it. Callers read names all over it, so whoever counted the most callers
 * saw about all of them; the hottest name lies in one partition.
 */
export function heatOfAll(heats: readonly [DirectoryHeat, ...DirectoryHeat[]]): DirectoryHeat {
  const sum = (of: (heat: DirectoryHeat) => number): number => heats.reduce((total, heat) => total + of(heat), 0);
  return {
    directory: heats[0].directory,
    readsPerS: sum((heat) => heat.readsPerS),
    writesPerS: sum((heat) => heat.writesPerS),
    callers: Math.max(...heats.map(({ callers }) => callers)),
    hottestEntry: hottestOf(heats),
    unseenPerS: sum((heat) => heat.unseenPerS),
  };
}

/** Replicas of one name count it in several places. */
function hottestOf(heats: readonly DirectoryHeat[]): DirectoryHeat['hottestEntry'] {
  const rates = new Map<number, number>();
  for (const { hottestEntry: entry } of heats) {
    if (entry !== null) rates.set(entry.nameHash, (rates.get(entry.nameHash) ?? 0) + entry.readsPerS);
  }
  let hottest: DirectoryHeat['hottestEntry'] = null;
  for (const [nameHash, readsPerS] of rates) {
    if (hottest === null || readsPerS > hottest.readsPerS) hottest = { nameHash, readsPerS };
  }
  return hottest;
}
