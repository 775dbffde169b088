export type Level = 'ok' | 'warn' | 'fail';

/** One thing that was looked at. */
export interface Check {
  /** What it is of, in a few words: stable, for scripts. */
  readonly name: string;
  readonly level: Level;
  /** What was found, in one sentence. */
  readonly sentence: string;
  /** What to do; empty where it is ok. */
  readonly remedy: string;
}

export function ok(name: string, sentence: string): Check {
  return { name, level: 'ok', sentence, remedy: '' };
}

export function warn(name: string, sentence: string, remedy: string): Check {
  return { name, level: 'warn', sentence, remedy };
}

export function fail(name: string, sentence: string, remedy: string): Check {
  return { name, level: 'fail', sentence, remedy };
}
