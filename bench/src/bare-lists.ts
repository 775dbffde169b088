import { lapProgram } from './bench-program.ts';
import type { Bench } from './figure.ts';
import { LineProcess } from './line-process.ts';
import { bucketOf } from './object-server.ts';
import type { ObjectSet } from './object-server.ts';
import { bestRate, fastest } from './pairs.ts';
import type { Contender } from './pairs.ts';

/** LISTs and nothing else, by the product's own client and parser, in as many equal ranges at once as are fastest. */
export class BareLists implements Contender, AsyncDisposable {
  readonly ranges: number;
  readonly #program: LineProcess;

  private constructor(program: LineProcess, ranges: number) {
    this.#program = program;
    this.ranges = ranges;
  }

  static async start(
    objects: ObjectSet,
    choices: readonly number[],
    env: Readonly<Record<string, string>>,
    { say, signal }: Bench,
  ): Promise<BareLists> {
    const source = `s3://${bucketOf({ ...objects, flat: true })}/data`;
    const command = [...lapProgram('list-loop'), source, String(objects.count)];
    const program = await LineProcess.start(command, { env, signal });
    const ranges = await fastest(choices, async (choice) => {
      signal.throwIfAborted();
      const rate = await bestRate({ lap: () => program.lap(String(choice)) });
      say(`bare LISTs, ${choice} ranges at once: ${Math.round(rate)} entries/s`);
      return rate;
    });
    return new BareLists(program, ranges);
  }

  lap(): ReturnType<Contender['lap']> {
    return this.#program.lap(String(this.ranges));
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#program[Symbol.asyncDispose]();
  }
}
