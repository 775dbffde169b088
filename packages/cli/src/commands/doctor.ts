import type { Command } from 'commander';

import { ChecksFailed } from '../command-context.ts';
import type { CommandContext, Tools } from '../command-context.ts';
import type { Check } from '../doctor/check.ts';

const howTo = `
Exit codes: 0 nothing fails (there may be warnings), 1 something fails.
It works without a daemon, and tells more with one. It is about the environment that it is run in: run it as the user,
and with the variables, of the daemon.`;

export function doctorCommand(program: Command, context: CommandContext): void {
  program
    .command('doctor')
    .description('What this machine allows, what is slow or in the way, and the remedy')
    .addHelpText('after', howTo)
    .action(() => context.run(runDoctor));
}

async function runDoctor(tools: Tools): Promise<void> {
  const { output } = tools;
  // It has most to load, and no other verb needs it.
  const { checkGroups } = await import('../doctor/check-groups.ts');
  const found = { ok: 0, warn: 0, fail: 0 };
  for await (const checks of checkGroups(tools)) {
    for (const check of checks) {
      found[check.level] += 1;
      output.result(check, describe(check));
    }
  }
  output.note(`${found.ok} ok, ${found.warn} to know of, ${found.fail} in the way`);
  if (found.fail > 0) throw new ChecksFailed(found.fail);
}

const marks = { ok: 'ok  ', warn: 'warn', fail: 'FAIL' } as const;

function describe({ name, level, sentence, remedy }: Check): string {
  return `${marks[level]}  ${name}: ${sentence}${remedy === '' ? '' : `\n      ${remedy}`}`;
}
