import type { Command } from 'commander';
import { findAws } from '@millpool/under-storage';

import { ChecksFailed } from '../command-context.ts';
import type { CommandContext, Tools } from '../command-context.ts';
import { awsChecks, endpointChecks } from '../doctor/aws.ts';
import type { Check } from '../doctor/check.ts';
import { askDaemon, daemonChecks } from '../doctor/daemon.ts';
import type { DaemonFindings } from '../doctor/daemon.ts';
import { directoryChecks } from '../doctor/directories.ts';
import { environmentChecks } from '../doctor/environment.ts';
import { machineChecks } from '../doctor/machine.ts';

const howTo = `
Exit codes: 0 nothing fails (there may be warnings), 1 something fails.
It works without a daemon, and tells more with one. It is about the environment that it is run in: run it as the user,
and with the variables, of the daemon.
Example: millpool doctor`;

export function doctorCommand(program: Command, context: CommandContext): void {
  program
    .command('doctor')
    .description('What this machine allows, what is slow or in the way, and the remedy')
    .addHelpText('after', howTo)
    .action(() => context.run(runDoctor));
}

async function runDoctor(tools: Tools): Promise<void> {
  const { output } = tools;
  const found = { ok: 0, warn: 0, fail: 0 };
  for await (const checks of groups(tools)) {
    for (const check of checks) {
      found[check.level] += 1;
      output.result(check, describe(check));
    }
  }
  output.note(`${found.ok} ok, ${found.warn} to know of, ${found.fail} in the way`);
  if (found.fail > 0) throw new ChecksFailed(found.fail);
}

async function* groups(tools: Tools): AsyncGenerator<readonly Check[]> {
  const { config } = tools.settings;
  yield machineChecks(config.budgetBytes);
  const found = await askDaemon(tools);
  const daemon = 'status' in found ? found : null;
  const directories = daemon === null ? config.dataDirectories : daemon.status.devices.map(({ path }) => path);
  for (const directory of directories) yield directoryChecks(directory);
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

const marks = { ok: 'ok  ', warn: 'warn', fail: 'FAIL' } as const;

function describe({ name, level, sentence, remedy }: Check): string {
  return `${marks[level]}  ${name}: ${sentence}${remedy === '' ? '' : `\n      ${remedy}`}`;
}
