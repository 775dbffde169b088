import type { Command } from 'commander';
import { formatOrigin, settingNames, settingTable } from '@millpool/host';
import type { Config, SettingName } from '@millpool/host';
import { formatBytes, formatDurationMs, formatFreshness, formatSize } from '@millpool/protocol';

import type { CommandContext } from '../command-context.ts';
import { table } from '../output.ts';

export function configCommand(program: Command, context: CommandContext): void {
  program
    .command('config')
    .description('Every setting, its value, and where that came from')
    .action(() =>
      context.run(async ({ settings, output }) => {
        const rows = settingNames.map((name) => {
          const { env, doc } = settingTable[name];
          const { kind } = settings.origins[name];
          return {
            name,
            value: written(name, settings.config),
            origin: kind,
            from: formatOrigin(settings.origins[name]),
            env,
            doc,
          };
        });
        if (output.json) for (const row of rows) output.result(row, '');
        else output.result({}, table(rows.map((row) => [row.name, row.value ?? '-', row.from, row.doc])));
      }),
    );
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
