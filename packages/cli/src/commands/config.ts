import type { Command } from 'commander';
import { formatOrigin, settingNames, settingTable } from '@millpool/host';
import type { Config, Origin, SettingName } from '@millpool/host';

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

/** Null where nothing is set. Not narrowed by its name, a setting's value is of every type at once to the compiler. */
function written(name: SettingName, config: Config): string | null {
  const value = config[name];
  return value === null ? null : (settingTable[name].text.write as (set: typeof value) => string)(value);
}
