import type { Command } from 'commander';
import { formatOrigin, settingNames, settingTable } from '@millpool/host';
import type { Config, Origin, SettingName } from '@millpool/host';
import { formatBytes, formatDurationMs, formatFreshness, formatSize } from '@millpool/protocol';

import type { CommandContext } from '../command-context.ts';
import { table } from '../output.ts';
import type { Settings } from '../settings.ts';

export function configCommand(program: Command, context: CommandContext): void {
  program
    .command('config')
    .description('Every setting, its value, and where that came from')
    .action(() =>
      context.run(async ({ settings, output }) => {
        const rows = settingRows(settings);
        if (output.json) for (const row of rows) output.result(row, '');
        else output.result({}, table(rows.map((row) => [row.name, row.value ?? '-', row.from, row.doc])));
      }),
    );
}

/** A setting as `millpool config` shows it. */
export interface SettingView {
  readonly name: string;
  /** Null where nothing is set. */
  readonly value: string | null;
  readonly origin: Origin['kind'];
  readonly from: string;
  readonly env: string;
  readonly doc: string;
}

export function settingRows({ config, origins }: Settings): readonly SettingView[] {
  return settingNames.map((name) => {
    const { env, doc } = settingTable[name];
    const origin = origins[name];
    return { name, value: written(name, config), origin: origin.kind, from: formatOrigin(origin), env, doc };
  });
}

/** As it would be written in a flag or a file; null where nothing is set. */
function written(name: SettingName, config: Config): string | null {
  const value = config[name];
  if (value === null) return null;
  if (name === 'size') return formatSize(config.size ?? { kind: 'percent', percent: 100 });
  if (name === 'freshness') return formatFreshness(config.freshness);
  if (Array.isArray(value)) return value.join(', ');
  if (typeof value === 'number') return name.endsWith('Bytes') ? formatBytes(value) : formatDurationMs(value);
  return String(value);
}
