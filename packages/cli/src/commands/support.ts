import { resolve } from 'node:path';

import type { Command } from 'commander';
import { formatBytes } from '@millpool/protocol';

import type { CommandContext, Tools } from '../command-context.ts';
import { writeNewFile } from '../new-file.ts';

const howTo = `
It holds the program and machine, every setting, what doctor finds, what the daemon says of itself, and the end of its
log. Passwords, keys, tokens and signatures are taken out; names of buckets, paths and hosts are in it: it is plain
JSON, so read it before you pass it on. It works without a daemon, and tells more with one.`;

export function supportCommand(program: Command, context: CommandContext): void {
  program
    .command('support')
    .description('Everything that helps to find a fault, in one file without secrets')
    .option('--output <file>', 'where it is written (default: millpool-support-TIME.json here; - is standard output)')
    .addHelpText('after', howTo)
    .action((options: { readonly output?: string }) => context.run((tools) => runSupport(options.output, tools)));
}

async function runSupport(wanted: string | undefined, tools: Tools): Promise<void> {
  const { output } = tools;
  const { supportReport } = await import('../support-report.ts');
  const report = await supportReport(tools);
  const text = `${JSON.stringify(report, null, 2)}\n`;
  if (wanted === '-') return output.result(report, text.trimEnd());
  const stamp = new Date().toISOString().replace(/\.\d+|[-:]/g, '');
  const path = resolve(wanted ?? `millpool-support-${stamp}.json`);
  await writeNewFile(path, text, 'Name another file with --output, or - for standard output.');
  const bytes = Buffer.byteLength(text);
  output.result({ path, bytes }, `${path}: ${formatBytes(bytes)}, without secrets. Read it before you pass it on.`);
}
