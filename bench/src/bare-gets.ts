import type { ColdSource } from './cold-source.ts';
import type { Bench } from './figure.ts';
import type { LineProcess } from './line-process.ts';
import { bestRate, fastest } from './pairs.ts';
import type { Contender, Lap } from './pairs.ts';

const atOnceChoices = [16, 32, 64, 128, 256, 512];

/** One native thread that GETs the same objects in the same order, as many at once as is fastest, and keeps nothing. */
export class BareGets implements Contender, AsyncDisposable {
  readonly name: string;
  readonly #loop: LineProcess;
  readonly #lap: (number: number) => Promise<Lap>;

  private constructor(name: string, loop: LineProcess, lap: (number: number) => Promise<Lap>) {
    this.name = name;
    this.#loop = loop;
    this.#lap = lap;
  }

  /** Tries each number of connections, and says what it reaches. */
  static async atBest(source: ColdSource, bench: Bench): Promise<BareGets> {
    const loop = await source.bareLoop();
    const lapAt = (atOnce: number) => async (number: number) =>
      loop.lap(`${atOnce} ${await source.order.file(number)}`);
    try {
      const atOnce = await fastest(atOnceChoices, async (choice) => {
        bench.signal.throwIfAborted();
        const rate = await bestRate({ lap: lapAt(choice) });
        bench.say(`bare GETs, ${choice} at once: ${Math.round(rate)}/s`);
        return rate;
      });
      const name = `bare loop of GETs, ${atOnce} at once (best of ${atOnceChoices.join(', ')})`;
      return new BareGets(name, loop, lapAt(atOnce));
    } catch (error) {
      await loop[Symbol.asyncDispose]();
      throw error;
    }
  }

  lap(number: number): Promise<Lap> {
    return this.#lap(number);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#loop[Symbol.asyncDispose]();
  }
}
