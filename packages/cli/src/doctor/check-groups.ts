import { tierDirectories } from '@millpool/cache';
import { findAws } from '@millpool/under-storage';

import type { Tools } from '../command-context.ts';
import { awsChecks, endpointChecks } from './aws.ts';
import type { Check } from './check.ts';
import { askDaemon, daemonChecks } from './daemon.ts';
import type { DaemonFindings } from './daemon.ts';
import { directoryChecks } from './directories.ts';
import { environmentChecks } from './environment.ts';
import { machineChecks } from './machine.ts';

/** All that is looked at, in groups as they are known. */
export async function* checkGroups(tools: Tools): AsyncGenerator<readonly Check[]> {
  const { config } = tools.settings;
  yield machineChecks(config.budgetBytes);
  const found = await askDaemon(tools);
  const daemon = 'status' in found ? found : null;
  const directories =
    daemon === null
      ? await tierDirectories(config)
      : new Map(daemon.status.devices.map(({ path, tier }) => [path, tier] as const));
  for (const [directory, tier] of directories) yield directoryChecks(directory, tier);
  const aws = await findAws(process.env, Date.now());
  yield environmentChecks(process.env, aws.endpoint ?? null);
  yield awsChecks(process.env, aws, daemon?.attachments.some(needsCredentials) === true);
  yield 'status' in found ? daemonChecks(found) : [found];
  for (const endpoint of endpointsOf(daemon, aws.endpoint ?? null)) yield endpointChecks(endpoint, aws.authorityFiles);
}

function needsCredentials({ s3 }: DaemonFindings['attachments'][number]): boolean {
  return s3 !== null && !s3.anonymous;
}

/** Where buckets are attached from, and where the environment says that they are. */
function endpointsOf(daemon: DaemonFindings | null, configured: string | null): readonly string[] {
  const attached = (daemon?.attachments ?? []).flatMap(({ s3, identity }) =>
    s3 === null ? [] : [identity.split('\0')[1] ?? ''],
  );
  const all = [...attached, ...(configured === null ? [] : [configured])];
  return [...new Set(all.filter((endpoint) => URL.canParse(endpoint)))];
}
