import type { Command } from 'commander';

import type { CommandContext } from '../command-context.ts';
import { table } from '../output.ts';
import { attachmentJson } from './attach.ts';

export function attachmentsCommand(program: Command, context: CommandContext): void {
  program
    .command('attachments')
    .description('What is attached where')
    .action(() =>
      context.run(async ({ session, output, signal }) => {
        const { attachments } = await session.call('attachments', {}, { signal });
        if (output.json) for (const attachment of attachments) output.result(attachmentJson(attachment), '');
        else output.result({}, table(attachments.map(({ path, source, policy }) => [path, source, policy])));
      }),
    );
}
