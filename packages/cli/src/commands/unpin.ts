import type { Command } from 'commander';

import type { CommandContext } from '../command-context.ts';

export function unpinCommand(program: Command, context: CommandContext): void {
  program
    .command('unpin')
    .description('Let what was pinned go again, when others need its room')
    .argument('<path>', 'a path that was pinned')
    .action((path: string) =>
      context.run(async ({ session, output, signal }) => {
        const unpinned = await session.call('unpin', { path }, { signal });
        output.result(unpinned, `${unpinned.path} is no longer pinned.`);
      }),
    );
}
