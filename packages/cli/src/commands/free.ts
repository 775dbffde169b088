import type { Command } from 'commander';
import { formatBytes } from '@millpool/protocol';

import type { CommandContext } from '../command-context.ts';

export function freeCommand(program: Command, context: CommandContext): void {
  program
    .command('free')
    .description('Forget what is cached below a path; the under-storage is not touched')
    .argument('<path>', 'absolute path in the namespace')
    .action((path: string) =>
      context.run(async ({ session, output, signal }) => {
        const freed = await session.call('free', { path }, { signal });
        output.result(freed, `Forgot ${freed.records} records, ${formatBytes(freed.bytes)}.`);
      }),
    );
}
