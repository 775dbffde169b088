import type { Command } from 'commander';
import { formatBytes } from '@millpool/protocol';
import type { Entry, ErrorShape } from '@millpool/protocol';

import { PartlyDone } from '../command-context.ts';
import type { CommandContext, Tools } from '../command-context.ts';
import { filesBelow } from '../files-below.ts';
import { ProgressBar } from '../progress-bar.ts';

const filesAtOnce = 1_000;
const bytesAtOnce = 256 * 1024 ** 2;
/** For one file that is larger than what is checked at once. */
const callSeconds = 86_400;

export function checkCommand(program: Command, context: CommandContext): void {
  program
    .command('check')
    .description('Read back what is cached below a path, and hold it against its checksums')
    .argument('[path]', 'absolute path in the namespace', '/')
    .addHelpText(
      'after',
      `
What is damaged is named and forgotten: it is fetched again when it is read or loaded.
Exit codes: 0 all is whole, 3 damage was found (it is listed).
It reads from the devices, not from memory. Older versions of files that have changed are not looked at.`,
    )
    .action((path: string) => context.run((tools) => runCheck(path, tools)));
}

async function runCheck(path: string, tools: Tools): Promise<void> {
  const { output, session, signal } = tools;
  const total = { files: 0, records: 0, bytes: 0, seconds: 0 };
  const damaged: string[] = [];
  const startMs = performance.now();
  const bar = new ProgressBar(output.lively, 'checked', await listedBytes(path, tools));
  try {
    for await (const files of batchesBelow(path, tools)) {
      const request = { paths: files.map((file) => file.path) };
      const found = await session.call('check', request, { signal, timeoutSeconds: callSeconds });
      total.files += files.length;
      total.records += found.records;
      total.bytes += found.bytes;
      damaged.push(...found.damaged);
      bar.advance(sizeOf(files));
    }
  } finally {
    bar.stop();
  }
  total.seconds = (performance.now() - startMs) / 1000;
  const { records, bytes, seconds } = total;
  const result = { path, files: total.files, records, checkedBytes: bytes, seconds, damaged };
  const found = damaged.length === 0 ? 'all is whole' : `${damaged.length} files were damaged`;
  output.result(result, `Checked ${records} records, ${formatBytes(bytes)}, in ${seconds.toFixed(1)} s: ${found}.`);
  if (damaged.length > 0) throw new PartlyDone(damaged.map(damagedError));
}

/** Of all files, cached or not. */
async function listedBytes(path: string, tools: Tools): Promise<number> {
  if (!tools.output.lively) return 0;
  let bytes = 0;
  for await (const page of filesBelow(path, tools)) bytes += sizeOf(page);
  return bytes;
}

/** Few enough at once that an interruption is heard soon; a larger file is a batch of its own. */
async function* batchesBelow(path: string, tools: Tools): AsyncGenerator<readonly Entry[]> {
  let batch: Entry[] = [];
  let bytes = 0;
  for await (const page of filesBelow(path, tools)) {
    for (const file of page) {
      if (batch.length > 0 && (batch.length === filesAtOnce || bytes + file.size > bytesAtOnce)) {
        yield batch;
        batch = [];
        bytes = 0;
      }
      batch.push(file);
      bytes += file.size;
    }
  }
  if (batch.length > 0) yield batch;
}

function sizeOf(files: readonly Entry[]): number {
  return files.reduce((sum, { size }) => sum + size, 0);
}

function damagedError(path: string): ErrorShape {
  return {
    code: 'corrupt',
    message: `${path} was damaged in the cache; what was damaged is forgotten.`,
    remedy: 'It is fetched again when it is read or loaded; if it happens again, suspect the device.',
    path,
  };
}
