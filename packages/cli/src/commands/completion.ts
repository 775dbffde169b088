import type { Command } from 'commander';
import { Argument } from 'commander';

import type { CommandContext } from '../command-context.ts';
import { bashScript } from '../completion/bash.ts';
import { fishScript } from '../completion/fish.ts';
import { verbOf } from '../completion/verb.ts';
import { zshScript } from '../completion/zsh.ts';

const scripts = { bash: bashScript, zsh: zshScript, fish: fishScript } as const;
type Shell = keyof typeof scripts;

export function completionCommand(program: Command, context: CommandContext): void {
  program
    .command('completion')
    .description('A script that completes verbs, options and paths in a shell')
    .addArgument(new Argument('<shell>', 'whose script').choices(Object.keys(scripts)))
    .addHelpText('after', '\nPaths of the namespace are completed while a daemon runs.')
    .action((shell: Shell) =>
      context.run(async ({ output }) => {
        const script = scripts[shell](verbOf(program));
        output.result({ shell, script }, script);
      }),
    );
}
