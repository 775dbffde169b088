import { join, resolve } from 'node:path';

import type { NodeConfig } from './node-config.ts';
import type { Settings } from './settings.ts';

/** Collects what a flag that may be repeated was given. */
export const repeated = (value: string, before: readonly string[] = []): readonly string[] => [...before, value];

/** As they were given as flags. */
export interface DataFlags {
  readonly data?: readonly string[];
  readonly slowData?: readonly string[];
}

/** Where a node keeps things: by flags, else by the settings. */
export function directoriesOf(
  { config, origins }: Settings,
  { data, slowData }: DataFlags,
): Pick<NodeConfig, 'dataDirectories' | 'slowDataDirectories' | 'stateDirectory'> {
  const dataDirectories = data?.map((path) => resolve(path)) ?? config.dataDirectories;
  const slowDataDirectories = slowData?.map((path) => resolve(path)) ?? config.slowDataDirectories;
  const [first = ''] = dataDirectories;
  const stateDirectory = origins.stateDirectory.kind === 'default' ? join(first, 'state') : config.stateDirectory;
  return { dataDirectories, slowDataDirectories, stateDirectory };
}
