import type { Engine } from '@millpool/native';

import type { Plans } from './plans.ts';
import type { SegmentFacts } from './victims.ts';

interface Parts {
  readonly engine: Engine;
  readonly plans: Plans;
}

/** Segments are weighed anew when their readers have gone on by so much of an epoch. */
const weighEveryEpochs = 1 / 32;

/** What segments are worth, by their names, when their readers had got so far. */
interface Weighed {
  readonly epochs: number;
  /** Of the times that they were weighed. */
  readonly turn: number;
  readonly worths: ReadonlyMap<string, number>;
}

/** What segments are worth by the plans of now: the sum of their bytes, each over the time until it is read. */
export class SegmentWorths {
  readonly #parts: Parts;
  readonly #weighed = new Map<string, Weighed>();

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  /** By `nameOf`, of those that hold something planned of an identity; null where no plan says. */
  async of(identity: string): Promise<ReadonlyMap<string, number> | null> {
    const { engine, plans } = this.#parts;
    const versions = [...plans.jobs(identity)];
    if (versions.length === 0) {
      this.#weighed.delete(identity);
      return null;
    }
    const epochs = plans.epochsRead(identity);
    const before = this.#weighed.get(identity);
    if (before !== undefined && Math.abs(epochs - before.epochs) < weighEveryEpochs) return before.worths;
    const turn = (before?.turn ?? 0) + 1;
    const worths = new Map<string, number>();
    for (const [version, { jobs }] of versions) {
      for (const { worth, ...name } of await engine.segmentWorths(version, jobs, turn)) {
        worths.set(nameOf(name), (worths.get(nameOf(name)) ?? 0) + worth);
      }
    }
    this.#weighed.set(identity, { epochs, turn, worths });
    return worths;
  }
}

/** Which no other segment of this run of the daemon has. */
export function nameOf({ number, generation }: Pick<SegmentFacts, 'number' | 'generation'>): string {
  return `${number}.${generation}`;
}
