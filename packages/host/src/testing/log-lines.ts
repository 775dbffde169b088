import { openLog } from '../log.ts';
import type { Log } from '../log.ts';

/** A log that keeps what was written, for tests that ask whether something was said. */
export class LogLines {
  readonly lines: string[] = [];
  readonly log: Log = openLog({ level: 'debug', format: 'json', write: (line) => this.lines.push(line) });

  /** Each line as the object it is. */
  get events(): readonly Readonly<Record<string, unknown>>[] {
    return this.lines.map((line) => JSON.parse(line) as Record<string, unknown>);
  }
}
