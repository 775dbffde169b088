import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';

import type { Command } from 'commander';
import { MillpoolError } from '@millpool/protocol';
import type { MapRecord, MapReply } from '@millpool/protocol';

import { ChecksFailed, PartlyDone } from '../command-context.ts';
import type { CommandContext, Tools } from '../command-context.ts';
import { writeNewFile } from '../new-file.ts';
import { table } from '../output.ts';

/** Of the file; one of a greater number is of a newer version. */
const format = 1;
const remedy = 'Give a file that `millpool admin map export` wrote, as it is.';

interface Kept extends Pick<MapReply, 'takenAt' | 'records'> {
  readonly format: typeof format;
}

export function mapCommand(admin: Command, context: CommandContext): void {
  const map = admin
    .command('map')
    .description(
      'What of a cluster is nowhere but in etcd: owners, attachments, drains, and what was chosen for directories',
    );
  map
    .command('export')
    .description('Write it to a file')
    .argument('[file]', 'where (default: millpool-map-TIME.json here; - is standard output)')
    .action((path: string | undefined) => context.run((tools) => runExport(path, tools)));
  map
    .command('verify')
    .description('Say what is damaged; and of a file, what is missing. Exit code 1 where anything is')
    .argument('[file]', 'what `export` wrote')
    .action((path: string | undefined) => context.run((tools) => runVerify(path ?? null, tools)));
  map
    .command('restore')
    .description('Put back what is missing or damaged; what was changed since stays')
    .argument('<file>', 'what `export` wrote')
    .option('--dry-run', 'only say what would be put back')
    .action((path: string, { dryRun = false }: { dryRun?: boolean }) =>
      context.run((tools) => runRestore(path, dryRun, tools)),
    );
}

async function runExport(wanted: string | undefined, { session, output, signal }: Tools): Promise<void> {
  const { takenAt, records, damaged } = await session.call('map', {}, { signal });
  const kept: Kept = { format, takenAt, records: records.filter(({ key }) => !damaged.includes(key)) };
  const text = `${JSON.stringify(kept, null, 1)}\n`;
  if (wanted === '-') {
    output.result(kept, text.trimEnd());
  } else {
    const path = resolve(wanted ?? `millpool-map-${takenAt.replace(/\.\d+|[-:]/g, '')}.json`);
    await writeNewFile(path, text, 'Name another file, or - for standard output.');
    output.result({ path, records: kept.records.length, damaged }, `${path}: ${kept.records.length} records.`);
  }
  if (damaged.length > 0) throw new PartlyDone(damaged.map((key) => damagedRecord(key).shape));
}

async function runVerify(path: string | null, { session, output, signal }: Tools): Promise<void> {
  const kept = path === null ? null : await readKept(path);
  const { records, damaged } = await session.call('map', {}, { signal });
  const now = new Map(records.map(({ key, value }) => [key, value]));
  const missing = (kept?.records ?? []).filter(({ key }) => !now.has(key)).map(({ key }) => key);
  const isChanged = ({ key, value }: MapRecord): boolean =>
    now.has(key) && now.get(key) !== value && !damaged.includes(key);
  const changed = (kept?.records ?? []).filter(isChanged).map(({ key }) => key);
  const rows = [
    ...damaged.map((key) => ['damaged', key]),
    ...missing.map((key) => ['missing', key]),
    ...changed.map((key) => ['changed', key]),
  ];
  const counts = `${damaged.length} damaged, ${missing.length} missing, ${changed.length} changed`;
  output.result(
    { records: records.length, damaged, missing, changed },
    below(rows, `${records.length} records, ${counts}.`),
  );
  if (damaged.length + missing.length > 0) throw new ChecksFailed(damaged.length + missing.length);
}

async function runRestore(path: string, isDryRun: boolean, { session, output, signal }: Tools): Promise<void> {
  const { records } = await readKept(path);
  const reply = await session.call('map-restore', { records, isDryRun }, { signal });
  const { restored, changed, refused } = reply;
  const done = isDryRun ? 'would be put back' : 'put back';
  const rows = restored.map((key) => [done, key]);
  output.result(reply, below(rows, `${restored.length} ${done}, ${changed.length} changed since and left so.`));
  if (refused.length > 0) throw new PartlyDone(refused);
}

function below(rows: readonly (readonly string[])[], text: string): string {
  return rows.length === 0 ? text : `${table(rows, [])}\n${text}`;
}

async function readKept(path: string): Promise<Kept> {
  const text = await readFile(path, 'utf8').catch((cause: unknown) => {
    throw new MillpoolError({ code: 'invalid', message: `${path} cannot be read: ${String(cause)}`, remedy, path });
  });
  let kept: Partial<Kept> | null = null;
  try {
    kept = JSON.parse(text) as Partial<Kept> | null;
  } catch {
    // Told below.
  }
  const isKept = kept?.format === format && typeof kept.takenAt === 'string' && Array.isArray(kept.records);
  if (!isKept) {
    const message = `${path} is no map of a cluster that this version can read`;
    throw new MillpoolError({ code: 'invalid', message, remedy, path });
  }
  return kept as Kept;
}

function damagedRecord(key: string): MillpoolError {
  return new MillpoolError({
    code: 'corrupt',
    message: `${key} in the coordination store is damaged, and is not in the file`,
    remedy: 'Put it back out of an older file: `millpool admin map restore FILE`.',
  });
}
