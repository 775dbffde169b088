import { join, resolve } from 'node:path';

import type { NodeConfig } from './node.ts';
import type { Settings } from './settings.ts';

/** Collects what a flag that may be repeated was given. */
export const repeated = (value: string, before: readonly string[] = []): readonly string[] => [...before, value];

/** Where a node keeps things: `data` as `--data` was given, else by the settings. */
export function directoriesOf(
  { config, origins }: Settings,
  data: readonly string[] | undefined,
): Pick<NodeConfig, 'dataDirectories' | 'stateDirectory'> {
  const dataDirectories = data?.map((path) => resolve(path)) ?? config.dataDirectories;
  const [first = ''] = dataDirectories;
  const stateDirectory = origins.stateDirectory.kind === 'default' ? join(first, 'state') : config.stateDirectory;
  return { dataDirectories, stateDirectory };
}
