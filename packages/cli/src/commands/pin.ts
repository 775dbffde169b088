import type { Command } from 'commander';
import { formatBytes } from '@millpool/protocol';

import type { CommandContext } from '../command-context.ts';

export function pinCommand(program: Command, context: CommandContext): void {
  program
    .command('pin')
    .description('Keep all bytes below a path in the cache, whatever else needs room, until it is unpinned')
    .argument('<path>', 'absolute path in the namespace')
    .addHelpText(
      'after',
      '\nPinning fetches nothing: `millpool load` does. Files that come later are pinned when they are loaded.',
    )
    .action((path: string) =>
      context.run(async ({ session, output, signal }) => {
        const pinned = await session.call('pin', { path }, { signal });
        const { files, bytes, cachedBytes } = pinned;
        const rest = cachedBytes < bytes ? `; \`millpool load ${path}\` brings the rest` : '';
        const here = `${formatBytes(cachedBytes)} of ${formatBytes(bytes)} are here`;
        output.result(pinned, `Pinned ${path}: ${files} files, ${here}${rest}.`);
      }),
    );
}
