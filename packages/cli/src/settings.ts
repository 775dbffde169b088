import { loadConfig } from '@millpool/host';
import type { Config, Environment, LoadedConfig } from '@millpool/host';

/** Global options as commander gives them. */
export interface GlobalOptions {
  readonly json?: boolean;
  readonly quiet?: boolean;
  readonly verbose?: boolean;
  readonly config?: string;
  readonly socket?: string;
}

/** What a command runs with. */
export interface Settings {
  readonly json: boolean;
  readonly quiet: boolean;
  readonly config: Config;
  readonly origins: LoadedConfig['origins'];
}

/** Flag over environment over file over default. Throws `invalid`, naming the setting and where it came from. */
export function loadSettings(options: GlobalOptions, env: Environment): Settings {
  const { values, origins } = loadConfig({
    flags: { socket: options.socket, logLevel: options.verbose === true ? 'debug' : undefined },
    env,
    file: options.config ?? null,
  });
  return { json: options.json === true, quiet: options.quiet === true, config: values, origins };
}
