import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';

import type { Contender, Lap } from './pairs.ts';

const stderrBytesMax = 16 << 10;

export interface LineProcessOptions {
  /** A program that runs what follows it in another place (`DelayLink.near`). */
  readonly within?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** Ends it in the middle of whatever it does. */
  readonly signal?: AbortSignal;
}

/** A program in a process of its own, which speaks by lines, the first one by itself; it ends when its stdin does. */
export class LineProcess implements AsyncDisposable {
  readonly #child: ChildProcess;
  readonly #lines: AsyncIterator<string>;
  readonly #name: string;
  /** It has ended, and all that it said is here. */
  readonly #closed: Promise<void>;
  #greeting = '';
  #stderr = '';

  private constructor(command: readonly string[], { within = [], env, signal }: LineProcessOptions) {
    const [program = '', ...args] = [...within, ...command];
    this.#name = command.slice(0, 3).join(' ');
    const child = spawn(program, args, {
      env: { ...process.env, ...env },
      stdio: ['pipe', 'pipe', 'pipe'],
      ...(signal === undefined ? {} : { signal }),
    });
    this.#child = child;
    this.#closed = new Promise((resolve) => child.once('close', () => resolve()));
    child.on('error', (error) => (this.#stderr += String(error)));
    // Writing to a program that has ended: its end says more.
    child.stdin.on('error', () => undefined);
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      this.#stderr = (this.#stderr + text).slice(-stderrBytesMax);
    });
    this.#lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  }

  /** Resolves with its first line; rejects with what it said when it ends before that. */
  static async start(command: readonly string[], options: LineProcessOptions = {}): Promise<LineProcess> {
    const started = new LineProcess(command, options);
    started.#greeting = await started.#next();
    return started;
  }

  /** Its first line. */
  get greeting(): string {
    return this.#greeting;
  }

  get pid(): number {
    return this.#child.pid ?? -1;
  }

  /** Of a program that runs a lap for each line. */
  async lap(line: string): Promise<Lap> {
    this.#child.stdin?.write(`${line}\n`);
    const answer = JSON.parse(await this.#next()) as Lap;
    if (answer.samples > 0 && answer.seconds > 0) return answer;
    throw new Error(`${this.#name} answered ${JSON.stringify(answer)}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.pid === undefined || this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const exit = once(this.#child, 'exit');
    this.#child.stdin?.end();
    await exit;
  }

  async #next(): Promise<string> {
    const { value, done } = await this.#lines.next();
    if (done !== true) return value;
    await this.#closed;
    throw new Error(`${this.#name} ended: ${this.#stderr.trim()}`);
  }
}

/** A side that such a program is, which ends with it; `lineFor` names a lap to it. */
export function lapsOf(
  program: LineProcess,
  lineFor: (number: number) => Promise<string> | string = String,
): Contender & AsyncDisposable {
  return {
    lap: async (number) => program.lap(await lineFor(number)),
    [Symbol.asyncDispose]: () => program[Symbol.asyncDispose](),
  };
}
