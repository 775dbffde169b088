import { readFile } from 'node:fs/promises';

import type { Receipt } from '@millpool/native';
import type { ReadCounts, ReaderActivity } from '@millpool/protocol';

/** More than a node has processes: those beyond are counted in the sums alone. */
const readersMax = 4_096;
const programLengthMax = 120;

interface Reader {
  readonly pid: number;
  readonly program: Promise<string>;
  read: ReadCounts;
}

export const nothingRead: ReadCounts = { samples: 0, hitSamples: 0, bytes: 0 };

/** The connections of now: who is at the other end, and what they said they read. */
export class Readers {
  readonly #readers = new Map<number, Reader>();

  /** A connection asked for something. */
  saw(connection: number, pid: number): void {
    if (this.#readers.has(connection) || this.#readers.size >= readersMax) return;
    this.#readers.set(connection, { pid, program: programOf(pid), read: nothingRead });
  }

  receipts(receipts: readonly Receipt[]): void {
    for (const receipt of receipts) {
      const reader = this.#readers.get(receipt.connection);
      if (reader !== undefined) reader.read = added(reader.read, receipt);
    }
  }

  closeConnection(connection: number): void {
    this.#readers.delete(connection);
  }

  list(): Promise<readonly ReaderActivity[]> {
    return Promise.all(
      [...this.#readers].map(async ([connection, { pid, program, read }]) => ({
        connection,
        pid,
        program: await program,
        read,
      })),
    );
  }
}

export function added(counts: ReadCounts, { samples, hitSamples, bytes }: ReadCounts): ReadCounts {
  return {
    samples: counts.samples + samples,
    hitSamples: counts.hitSamples + hitSamples,
    bytes: counts.bytes + bytes,
  };
}

/** Empty for a process of another user, or one that is gone. */
export async function programOf(pid: number): Promise<string> {
  const line = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
  return line.split('\0').join(' ').trim().slice(0, programLengthMax);
}
