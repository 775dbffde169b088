import { delimiter, resolve } from 'node:path';
import * as protocol from '@millpool/protocol';
import type { Freshness, Size } from '@millpool/protocol';

/** What is written for a setting: how its value is read from text, and written again. */
export interface SettingText<T> {
  /** `invalid` for what it cannot be. `texts` has one member, or as many as were written where `many`. */
  readonly parse: (texts: readonly string[]) => T;
  /** As a flag, the environment or a file would have it; of sizes and durations to a digit after the point. */
  readonly write: (value: T) => string;
  /** Several values: repeated as a flag, a list in a file, separated by `listSeparator` in the environment. */
  readonly many?: true;
}

export const listSeparator = delimiter;

export const bytes = one<number>(protocol.parseBytes, protocol.formatBytes);
export const size = one<Size>(protocol.parseSize, protocol.formatSize);
export const freshness = one<Freshness>(protocol.parseFreshness, protocol.formatFreshness);
export const path = one<string>(absolute);
export const address = one<string>(hostAndPort);
/** Its password is not for everybody who sees the settings. */
export const coordination = one<string>(etcdAddress, (text) => text.replace(/(:[/][/][^:@/]*):[^@/]*@/, '$1:…@'));

export const paths: SettingText<readonly string[]> = {
  parse: (texts) => texts.map(absolute),
  write: (all) => all.join(listSeparator),
  many: true,
};

export function choice<const T extends string>(choices: readonly T[]): SettingText<T> {
  return one((text) => {
    const chosen = choices.find((candidate) => candidate === text);
    if (chosen === undefined) throw invalid(`${JSON.stringify(text)} is none of ${choices.join(', ')}`);
    return chosen;
  });
}

export function duration(minMs: number, maxMs: number): SettingText<number> {
  return one((text) => {
    const durationMs = protocol.parseDurationMs(text);
    if (durationMs < minMs || durationMs > maxMs) throw invalid(`${text} is not from ${minMs}ms to ${maxMs}ms`);
    return durationMs;
  }, protocol.formatDurationMs);
}

export function wholeNumber(min: number, max: number): SettingText<number> {
  return one((text) => {
    const number = /^\d{1,9}$/.test(text) ? Number(text) : Number.NaN;
    if (!(number >= min && number <= max))
      throw invalid(`${JSON.stringify(text)} is no whole number from ${min} to ${max}`);
    return number;
  });
}

/** Written as `25%`, and a fraction of 1. */
export function percent(max: number): SettingText<number> {
  return one(
    (text) => {
      const number = /^\d{1,3}%$/.test(text) ? Number(text.slice(0, -1)) : Number.NaN;
      if (!(number <= max)) throw invalid(`${JSON.stringify(text)} is no share from 0% to ${max}%`);
      return number / 100;
    },
    (fraction) => `${Math.round(fraction * 100)}%`,
  );
}

function one<T>(parse: (text: string) => T, write: (value: T) => string = String): SettingText<T> {
  return {
    parse: (texts) => {
      const [text, second] = texts;
      if (text === undefined || second !== undefined) throw invalid(`${texts.length} values were given, not one`);
      return parse(text);
    },
    write,
  };
}

function absolute(text: string): string {
  if (text === '') throw invalid('an empty path was given');
  return resolve(text);
}

function hostAndPort(text: string): string {
  const port = Number(/^(?:[^:\s]+|\[[0-9a-fA-F:.]+\]):(\d{1,5})$/.exec(text)?.[1]);
  if (!(port <= 65_535)) throw invalid(`${JSON.stringify(text)} is not HOST:PORT`);
  return text;
}

/** The rest of it is looked at where it is used. */
function etcdAddress(text: string): string {
  if (!/^etcds?:[/][/]./.test(text)) throw invalid(`${JSON.stringify(text)} is not etcd://HOST:PORT`);
  return text;
}

function invalid(message: string): protocol.MillpoolError {
  return new protocol.MillpoolError({ code: 'invalid', message, remedy: 'See `millpool config` for each setting.' });
}
