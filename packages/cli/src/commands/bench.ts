import type { Command } from 'commander';

import { formatCeiling } from '../ceilings/ceiling.ts';
import type { Ceiling } from '../ceilings/ceiling.ts';
import { deviceCeilings, memoryCeilings } from '../ceilings/machine.ts';
import { loaderCeiling, sourceCeiling } from '../ceilings/path.ts';
import type { CommandContext, Tools } from '../command-context.ts';

const secondsEach = 2;

const howTo = `
Each is measured alone, for some ${secondsEach} s: memory and the devices of the data directories, without a daemon;
with PATH and a daemon also the source (files that are not cached, and are afterwards) and a loader over all below it.
What else the machine does meanwhile is in the figures, and it is slowed.`;

export function benchCommand(program: Command, context: CommandContext): void {
  program
    .command('bench')
    .description('Ceilings of this node: memory, device, source, loader')
    .argument('[path]', 'absolute path in the namespace, for source and loader')
    .addHelpText('after', howTo)
    .action((path: string | undefined) => context.run((tools) => runBench(path, tools)));
}

async function runBench(path: string | undefined, tools: Tools): Promise<void> {
  const { output, signal } = tools;
  if (path !== undefined) await known(path, tools);
  for await (const ceiling of ceilings(path, tools)) {
    signal.throwIfAborted();
    output.result(ceiling, formatCeiling(ceiling));
  }
}

/** A path that is nowhere, and a daemon that is not there, are told before anything is measured. */
async function known(path: string, { session, signal }: Tools): Promise<void> {
  await (await session.mill()).stat(path, { signal });
}

async function* ceilings(path: string | undefined, { session, settings, signal }: Tools): AsyncGenerator<Ceiling> {
  yield* await memoryCeilings(secondsEach);
  const daemon = await session.call('status', {}, { signal }).catch(() => null);
  const { dataDirectories, slowDataDirectories } = settings.config;
  const directories = daemon?.devices.map((device) => device.path) ?? [
    ...dataDirectories,
    ...(slowDataDirectories ?? []),
  ];
  for (const directory of directories) yield* await deviceCeilings(directory, secondsEach);
  if (path === undefined) return;
  const asked = { path, session, seconds: secondsEach, signal };
  yield await sourceCeiling(asked);
  yield await loaderCeiling(asked);
}
