import { appendFile, rm } from 'node:fs/promises';
import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline';

import type { ErrorShape } from '@millpool/protocol';

/** Every failure of one load, a JSON line each in a file of its own: there may be more than memory should hold. */
export class FailureLog {
  readonly #file: string;

  constructor(file: string) {
    this.#file = file;
  }

  async append(failures: readonly ErrorShape[]): Promise<void> {
    if (failures.length === 0) return;
    await appendFile(this.#file, failures.map((failure) => `${JSON.stringify(failure)}\n`).join(''));
  }

  /** Also where there is none. */
  async clear(): Promise<void> {
    await rm(this.#file, { force: true });
  }

  /** Those after the first `skip`, at most `limit`. A line that a kill cut short is none. */
  async page(skip: number, limit: number): Promise<readonly ErrorShape[]> {
    const failures: ErrorShape[] = [];
    const file = createReadStream(this.#file, 'utf8');
    const opened = new Promise<boolean>((resolve, reject) => {
      file.once('open', () => resolve(true));
      file.once('error', (error: NodeJS.ErrnoException) => (error.code === 'ENOENT' ? resolve(false) : reject(error)));
    });
    if (!(await opened)) return [];
    try {
      let line = 0;
      for await (const text of createInterface({ input: file, crlfDelay: Number.POSITIVE_INFINITY })) {
        line += 1;
        if (line <= skip) continue;
        const failure = decodeFailure(text);
        if (failure !== null) failures.push(failure);
        if (failures.length >= limit) break;
      }
    } finally {
      file.destroy();
    }
    return failures;
  }
}

function decodeFailure(line: string): ErrorShape | null {
  try {
    return JSON.parse(line) as ErrorShape;
  } catch (error) {
    if (error instanceof SyntaxError) return null;
    throw error;
  }
}
