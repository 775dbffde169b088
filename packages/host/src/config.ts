import { readFileSync } from 'node:fs';
import { asMillpoolError, MillpoolError } from '@millpool/protocol';
import { placeOf } from './place.ts';
import type { Environment, Place } from './place.ts';
import { settingNames, settingTable } from './setting-table.ts';
import type { Config, SettingName } from './setting-table.ts';
import { listSeparator } from './setting-text.ts';

/** Where a value came from. A flag is stronger than the environment, that than a file, that than the default. */
export type Origin =
  | { readonly kind: 'flag' }
  | { readonly kind: 'environment'; readonly name: string }
  | { readonly kind: 'file'; readonly path: string }
  | { readonly kind: 'default' };

export type Written = string | readonly string[];

export interface ConfigSources {
  /** As they were written on the command line; absent ones are absent. */
  readonly flags: { readonly [N in SettingName]?: Written | undefined };
  readonly env: Environment;
  /** From `--config`; null: MILLPOOL_CONFIG, or the usual place if there is a file. */
  readonly file: string | null;
}

export interface LoadedConfig {
  readonly values: Config;
  readonly origins: { readonly [N in SettingName]: Origin };
}

interface ConfigFile {
  readonly path: string;
  readonly written: ReadonlyMap<string, Written>;
}

/** Every setting, checked and frozen, with where it came from. `invalid` names the setting and its origin. */
export function loadConfig({ flags, env, file }: ConfigSources): LoadedConfig {
  const place = placeOf(env);
  const found = readConfigFile(file ?? env['MILLPOOL_CONFIG'] ?? null, place);
  const values: Partial<Record<SettingName, unknown>> = {};
  const origins: Partial<Record<SettingName, Origin>> = {};
  for (const name of settingNames) {
    const { origin, written } = choose(name, { flags, env, found });
    origins[name] = Object.freeze(origin);
    values[name] = written === null ? otherwise(name, place, values as Partial<Config>) : parse(name, written, origin);
  }
  return { values: Object.freeze(values as Config), origins: Object.freeze(origins as LoadedConfig['origins']) };
}

/** As people read it: `--socket`, `MILLPOOL_SOCKET`, a file's path, `default`. */
export function formatOrigin(origin: Origin): string {
  switch (origin.kind) {
    case 'flag':
      return 'command line';
    case 'environment':
      return origin.name;
    case 'file':
      return origin.path;
    case 'default':
      return 'default';
  }
}

interface Choices {
  readonly flags: ConfigSources['flags'];
  readonly env: Environment;
  readonly found: ConfigFile | null;
}

/** The strongest that says anything; an empty variable says nothing. */
function choose(name: SettingName, { flags, env, found }: Choices): { origin: Origin; written: Written | null } {
  const flag = flags[name];
  if (flag !== undefined) return { origin: { kind: 'flag' }, written: flag };
  const row = settingTable[name];
  const variable = env[row.env];
  if (variable !== undefined && variable !== '') {
    const written = row.text.many === true ? variable.split(listSeparator).filter((text) => text !== '') : variable;
    return { origin: { kind: 'environment', name: row.env }, written };
  }
  const inFile = found?.written.get(name);
  if (found !== null && inFile !== undefined) return { origin: { kind: 'file', path: found.path }, written: inFile };
  return { origin: { kind: 'default' }, written: null };
}

function otherwise(name: SettingName, place: Place, chosen: Partial<Config>): unknown {
  return settingTable[name].otherwise(place, chosen);
}

function parse(name: SettingName, written: Written, origin: Origin): unknown {
  const texts = typeof written === 'string' ? [written] : written;
  try {
    if (texts.length === 0)
      throw new MillpoolError({ code: 'invalid', message: 'an empty list was given', remedy: '' });
    return settingTable[name].text.parse(texts);
  } catch (error) {
    const { code, message, remedy } = asMillpoolError(error);
    throw new MillpoolError(
      { code, message: `${name} (${formatOrigin(origin)}): ${message}`, remedy },
      { cause: error },
    );
  }
}

function readConfigFile(named: string | null, place: Place): ConfigFile | null {
  const path = named ?? place.configFile;
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    if (named === null && (error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw fileError(path, (error as Error).message, error);
  }
  let content: unknown;
  try {
    content = JSON.parse(text);
  } catch (error) {
    throw fileError(path, `it is not JSON: ${(error as Error).message}`, error);
  }
  if (typeof content !== 'object' || content === null || Array.isArray(content))
    throw fileError(path, 'it is not a JSON object');
  return {
    path,
    written: new Map(Object.entries(content).map(([key, value]) => [known(key, path), textsOf(key, value, path)])),
  };
}

function known(key: string, path: string): string {
  if (settingNames.some((name) => name === key)) return key;
  throw fileError(path, `there is no setting ${JSON.stringify(key)}; the nearest is ${JSON.stringify(nearest(key))}`);
}

function textsOf(key: string, value: unknown, path: string): Written {
  if (typeof value === 'string') return value;
  if (Array.isArray(value) && value.every((member) => typeof member === 'string')) return value;
  throw fileError(
    path,
    `${key} is neither text nor a list of texts; write sizes and durations with units, "2GiB", "50ms"`,
  );
}

function fileError(path: string, fault: string, cause?: unknown): MillpoolError {
  const errno = (cause as NodeJS.ErrnoException | undefined)?.code;
  const refused = errno === 'EACCES' || errno === 'EPERM';
  return new MillpoolError(
    {
      code: errno === 'ENOENT' ? 'not-found' : refused ? 'refused' : 'invalid',
      message: `the configuration file ${path}: ${fault}`,
      remedy: refused
        ? 'Let this user read it, or set HOME to the home directory of this user.'
        : 'It is a JSON object of the settings that `millpool config` lists.',
      path,
    },
    { cause },
  );
}

function nearest(key: string): SettingName {
  const distances = settingNames.map((name) => ({
    name,
    distance: editDistance(key.toLowerCase(), name.toLowerCase()),
  }));
  return distances.reduce((best, next) => (next.distance < best.distance ? next : best)).name;
}

/** Levenshtein's, a row at a time. */
function editDistance(left: string, right: string): number {
  let row = Array.from({ length: right.length + 1 }, (_, index) => index);
  for (const [index, letter] of [...left].entries()) {
    const next = [index + 1];
    for (const [at, other] of [...right].entries()) {
      const changed = (row[at] ?? 0) + (letter === other ? 0 : 1);
      next.push(Math.min(changed, (row[at + 1] ?? 0) + 1, (next[at] ?? 0) + 1));
    }
    row = next;
  }
  return row[right.length] ?? 0;
}
