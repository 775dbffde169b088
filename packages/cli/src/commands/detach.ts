import type { Command } from 'commander';

import type { CommandContext } from '../command-context.ts';

export function detachCommand(program: Command, context: CommandContext): void {
  program
    .command('detach')
    .description('Take a source out of the namespace; the source itself is not touched')
    .argument('<path>', 'where it is attached')
    .action((path: string) =>
      context.run(async ({ session, output, signal }) => {
        const detached = await session.call('detach', { path }, { signal });
        output.result(detached, `${detached.path} is detached.`);
      }),
    );
}
