import { writeSync } from 'node:fs';

import type { ErrorShape } from '@millpool/protocol';

/** How much and in what form a command speaks. */
export interface OutputSettings {
  readonly json: boolean;
  readonly quiet: boolean;
}

/** Who reads stdout has seen enough (`| head`): the command ends by it, and that is no failure. */
export class NobodyReads extends Error {
  constructor() {
    super('stdout was closed');
  }
}

/** The only writer to stdout and stderr: results there, everything said about them here. */
export class Output {
  readonly #settings: OutputSettings;
  /** What was advised last: one remedy for many errors is said once. */
  #remedy = '';

  constructor(settings: OutputSettings) {
    this.#settings = settings;
  }

  get json(): boolean {
    return this.#settings.json;
  }

  /** Whether a progress bar has somebody to look at it. */
  get lively(): boolean {
    return !this.#settings.json && !this.#settings.quiet && process.stderr.isTTY === true;
  }

  /** A result: `data` as one JSON line under `--json`, else `text`. Throws `NobodyReads`. */
  result(data: object, text: string): void {
    writeAll(1, this.#settings.json ? `${JSON.stringify(data)}\n` : text === '' ? '' : `${harmless(text)}\n`);
  }

  /** Something worth knowing that is no result. */
  note(text: string): void {
    if (!this.#settings.quiet && !this.#settings.json) writeAll(2, `${harmless(text)}\n`);
  }

  /** How far a long verb is, for programs. */
  progress(data: object): void {
    if (this.#settings.json && !this.#settings.quiet) writeAll(2, `${JSON.stringify({ progress: data })}\n`);
  }

  error(error: ErrorShape): void {
    if (this.#settings.json) return writeAll(2, `${JSON.stringify({ error })}\n`);
    const isNew = error.remedy !== this.#remedy;
    this.#remedy = error.remedy;
    const remedy = isNew && error.remedy !== '' ? `  ${printable(error.remedy)}\n` : '';
    writeAll(2, `millpool: ${printable(error.message)}\n${remedy}`);
  }
}

/** Written before the process may end, and whole, also into a pipe that is not blocking. */
function writeAll(descriptor: 1 | 2, text: string): void {
  let rest = Buffer.from(text);
  while (rest.length > 0) {
    try {
      rest = rest.subarray(writeSync(descriptor, rest));
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code;
      if (code === 'EPIPE' && descriptor === 1) throw new NobodyReads();
      if (code === 'EPIPE') return;
      if (code !== 'EAGAIN') throw error;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5);
    }
  }
}

/** Rows under each other; numbers of the columns named in `right` flush right. */
export function table(rows: readonly (readonly string[])[], right: readonly number[] = []): string {
  const widths: number[] = [];
  for (const row of rows) row.forEach((cell, i) => (widths[i] = Math.max(widths[i] ?? 0, cell.length)));
  const pad = (cell: string, i: number): string =>
    right.includes(i) ? cell.padStart(widths[i] ?? 0) : cell.padEnd(widths[i] ?? 0);
  return rows.map((row) => row.map(pad).join('  ').trimEnd()).join('\n');
}

/** Text whose lines and columns stay, and that does nothing else to a terminal, whoever's names are in it. */
function harmless(text: string): string {
  // eslint-disable-next-line no-control-regex
  return text.replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g, printable);
}

/** A name as a terminal may show it: control characters escaped, so that no name moves the cursor or adds a line. */
export function printable(name: string): string {
  // eslint-disable-next-line no-control-regex
  return name.replace(/[\u0000-\u001f\u007f-\u009f]/g, (char) =>
    char === '\n' ? '\\n' : char === '\t' ? '\\t' : `\\x${char.charCodeAt(0).toString(16).padStart(2, '0')}`,
  );
}
