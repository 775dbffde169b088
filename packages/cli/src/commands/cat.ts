import type { Command } from 'commander';

import type { CommandContext, Tools } from '../command-context.ts';

export function catCommand(program: Command, context: CommandContext): void {
  program
    .command('cat')
    .description('Write a file to standard output, read through the cache')
    .argument('<path>', 'absolute path in the namespace')
    .action((path: string) => context.run((tools) => runCat(path, tools)));
}

async function runCat(path: string, { session, signal }: Tools): Promise<void> {
  const mill = await session.mill();
  // A reader that has seen enough (`| head`) ends the command, and that is no failure.
  const closed = new AbortController();
  process.stdout.on('error', () => closed.abort());
  for await (const chunk of mill.stream(path, { signal })) {
    if (closed.signal.aborted) return;
    if (!process.stdout.write(chunk)) await drained(closed.signal);
  }
}

function drained(closed: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    process.stdout.once('drain', resolve);
    closed.addEventListener('abort', () => resolve(), { once: true });
  });
}
