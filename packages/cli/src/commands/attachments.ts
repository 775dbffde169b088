import type { Command } from 'commander';
import { isBelow } from '@millpool/protocol';
import type { Attachment } from '@millpool/protocol';

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
        const { pins } = await session.call('pins', {}, { signal });
        const pinnedIn = (at: string): string[] =>
          pins.map(({ path }) => path).filter((path) => path === at || isBelow(path, at));
        const rows = attachments.map((attachment) => ({ attachment, pinned: pinnedIn(attachment.path) }));
        if (output.json)
          for (const { attachment, pinned } of rows) output.result({ ...attachmentJson(attachment), pinned }, '');
        else output.result({}, table(rows.map(rowOf)));
      }),
    );
}

function rowOf({
  attachment,
  pinned,
}: {
  readonly attachment: Attachment;
  readonly pinned: readonly string[];
}): string[] {
  const { path, source, policy } = attachment;
  return [path, source, policy, pinned.length === 0 ? '' : `pinned: ${pinned.join(', ')}`];
}
