import type { Command } from 'commander';
import { formatBytes, parsePath } from '@millpool/protocol';
import type { Entry, ErrorShape } from '@millpool/protocol';

import { PartlyDone } from '../command-context.ts';
import type { CommandContext, Tools } from '../command-context.ts';
import { filesBelow } from '../files-below.ts';
import { ProgressBar } from '../progress-bar.ts';
import { checkSource } from '../source-check.ts';

interface CheckOptions {
  readonly source?: boolean;
}

const filesAtOnce = 1_000;
const bytesAtOnce = 256 * 1024 ** 2;
/** For one file that is larger than what is checked at once. */
const callSeconds = 86_400;

export function checkCommand(program: Command, context: CommandContext): void {
  program
    .command('check')
    .description('Read back what is cached below a path, and hold it against its checksums; or compare with the source')
    .argument('[path]', 'absolute path in the namespace', '/')
    .option(
      '--source',
      'compare what is known of files with the source as it is now; reads no file and changes nothing',
    )
    .addHelpText(
      'after',
      `
What is damaged is named and forgotten: it is fetched again when it is read or loaded.
Exit codes: 0 all is whole, 3 damage was found (it is listed).
It reads from the devices, not from memory. Older versions of files that have changed are not looked at.

With --source what is cached is not read back: names, sizes and etags are compared with a listing of the source, made
now whatever the freshness. A line each: changed (size or etag), missing (gone at the source), new (not known here
yet), unlisted (a directory of which nothing is known here, so that nothing can be compared: no difference).
A new directory is one line. Exit codes: 0 nothing differs, 3 something does.
Files without an etag are compared by size and time. What differs is listed anew when its freshness is over.`,
    )
    .action((path: string, { source = false }: CheckOptions) =>
      context.run((tools) => (source ? checkSource(parsePath(path), tools) : runCheck(path, tools))),
    );
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
