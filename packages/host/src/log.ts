import { MillpoolError } from '@millpool/protocol';
import { systemClock } from './clock.ts';
import type { Clock } from './clock.ts';
import { redact } from './redact.ts';

export const logLevels = ['debug', 'info', 'warn', 'error', 'silent'] as const;
export type LogLevel = (typeof logLevels)[number];
export const logFormats = ['text', 'json'] as const;
export type LogFormat = (typeof logFormats)[number];

/** Facts of an event. Values are printed whole, so none may hold sample bytes; secrets are taken out by `redact`. */
export type LogFields = Readonly<Record<string, unknown>>;

/** One line an event. An event is a short clause that never changes ("attachment made"); what varies goes in fields. */
export interface Log {
  debug(event: string, fields?: LogFields): void;
  info(event: string, fields?: LogFields): void;
  warn(event: string, fields?: LogFields): void;
  error(event: string, fields?: LogFields): void;
  /** The same log, with these fields on every line. */
  with(fields: LogFields): Log;
}

export interface LogConfig {
  readonly level: LogLevel;
  readonly format: LogFormat;
  /** Gets whole lines, each with its newline. Must not throw. */
  readonly write: (line: string) => void;
  readonly clock?: Clock;
}

export function openLog(config: LogConfig): Log {
  return new LineLog(config, {});
}

class LineLog implements Log {
  readonly #config: LogConfig;
  readonly #fields: LogFields;

  constructor(config: LogConfig, fields: LogFields) {
    this.#config = config;
    this.#fields = fields;
  }

  debug(event: string, fields?: LogFields): void {
    this.#line('debug', event, fields);
  }

  info(event: string, fields?: LogFields): void {
    this.#line('info', event, fields);
  }

  warn(event: string, fields?: LogFields): void {
    this.#line('warn', event, fields);
  }

  error(event: string, fields?: LogFields): void {
    this.#line('error', event, fields);
  }

  with(fields: LogFields): Log {
    return new LineLog(this.#config, { ...this.#fields, ...fields });
  }

  #line(level: LogLevel, event: string, fields: LogFields | undefined): void {
    const { format, write, clock = systemClock } = this.#config;
    if (logLevels.indexOf(level) < logLevels.indexOf(this.#config.level)) return;
    const given = Object.entries({ ...this.#fields, ...fields });
    const facts = given.map(([name, value]) => [name, plain(name, value)] as const);
    const time = new Date(clock.nowMs()).toISOString();
    write(format === 'json' ? jsonLine(time, level, event, facts) : textLine(time, level, event, facts));
  }
}

export const silentLog: Log = openLog({ level: 'silent', format: 'text', write: () => {} });

type Facts = readonly (readonly [name: string, value: unknown])[];

/** `time`, `level` and `event` come first, and a field of the same name does not replace them. */
function jsonLine(time: string, level: string, event: string, facts: Facts): string {
  const head = { time, level, event };
  return `${JSON.stringify({ ...head, ...Object.fromEntries(facts), ...head })}\n`;
}

function textLine(time: string, level: string, event: string, facts: Facts): string {
  const words = facts.map(
    ([name, value]) => `${name}=${typeof value === 'string' ? quoted(value) : JSON.stringify(value)}`,
  );
  return `${[time, level.padEnd(5), event, ...words].join(' ')}\n`;
}

function quoted(value: string): string {
  return /^[\w./:@%+,-]+$/.test(value) ? value : JSON.stringify(value);
}

/** A value as data that JSON can hold, on one line, without secrets. */
function plain(name: string, value: unknown): unknown {
  if (value instanceof MillpoolError) return redact(name, value.shape);
  if (value instanceof Error) return redact(name, value.message);
  if (typeof value === 'bigint') return value.toString();
  if (ArrayBuffer.isView(value)) return `${value.byteLength} bytes`;
  return redact(name, value);
}
