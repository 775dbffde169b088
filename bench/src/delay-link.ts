import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { promisify } from 'node:util';

import { benchProgram } from './bench-program.ts';
import { LineProcess } from './line-process.ts';

const run = promisify(execFile);
const nsenter = '/usr/bin/nsenter';
const checkTimeoutMs = 60_000;

/** Where the namespaces are, and the address of the far one. */
interface Ends {
  readonly near: string;
  readonly far: string;
  readonly address: string;
}

/**
 * Two network namespaces with nothing between them but a delay, each way half of `roundTripMs`. They are gone with the
 * last process in them, however this one ends.
 */
export class DelayLink implements AsyncDisposable {
  readonly #process: LineProcess;
  readonly #ends: Ends;

  private constructor(started: LineProcess) {
    this.#process = started;
    this.#ends = JSON.parse(started.greeting) as Ends;
  }

  static async start(roundTripMs: number): Promise<DelayLink> {
    const delayMicros = String(Math.round((roundTripMs * 1000) / 2));
    return new DelayLink(await LineProcess.start([benchProgram, 'link', delayMicros]));
  }

  /** A command that runs what follows it in the namespace of those who measure. */
  get near(): readonly string[] {
    return [nsenter, `--net=${this.#ends.near}`, '--'];
  }

  /** The same for the servers', and the address that they have there. */
  get far(): readonly string[] {
    return [nsenter, `--net=${this.#ends.far}`, '--'];
  }

  get farHost(): string {
    return this.#ends.address;
  }

  /** How long a TCP handshake with a server at the far end takes, at least. Throws where that is less than promised. */
  async check(address: string, roundTripMs: number): Promise<number> {
    const [program = '', ...rest] = [...this.near, benchProgram, 'round-trip', address];
    const { stdout } = await run(program, rest, { timeout: checkTimeoutMs });
    const seconds = Number(stdout);
    if (seconds * 1000 >= roundTripMs) return seconds;
    throw new Error(`the delay is not in force: ${stdout.trim()} s there and back instead of ${roundTripMs} ms`);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#process[Symbol.asyncDispose]();
  }
}

/** Why there can be no link on this machine, in one line; null where one could be made just now. */
export async function whyNoLink(): Promise<string | null> {
  if (process.getuid?.() !== 0) return 'the link with delay needs root (network namespaces and TUN interfaces)';
  if (!existsSync('/dev/net/tun')) return 'the link with delay needs /dev/net/tun';
  if (!existsSync(nsenter)) return `the link with delay needs ${nsenter} (util-linux)`;
  try {
    const link = await DelayLink.start(0);
    await link[Symbol.asyncDispose]();
    return null;
  } catch (error) {
    const [why = ''] = (error instanceof Error ? error.message : String(error)).split('\n');
    return `the link with delay cannot be made: ${why}`;
  }
}
