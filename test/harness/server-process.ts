import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { createServer, connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

const startTimeoutMs = 30_000;
const stopTimeoutMs = 10_000;
const askAgainMs = 20;
const logBytesMax = 64 << 10;

/** The kernel ends the server even when this process is killed, where util-linux is installed. */
const setpriv = '/usr/bin/setpriv';
const dyingWithParent = existsSync(setpriv) ? [setpriv, '--pdeathsig', 'KILL', '--'] : [];

/** Below those that Linux gives to whoever connects, or one of them would have it before its server listens. */
const ports = { from: 20_000, to: 32_768 };
const portTries = 50;

/** A port of this machine that nobody listens on. */
export async function freePort(): Promise<number> {
  for (let tries = 0; tries < portTries; tries += 1) {
    const port = randomInt(ports.from, ports.to);
    const server = createServer().listen(port, '127.0.0.1');
    const isFree = await once(server, 'listening').then(
      () => true,
      () => false,
    );
    if (!isFree) continue;
    server.close();
    await once(server, 'close');
    return port;
  }
  throw new Error(`none of ${portTries} ports from ${ports.from} on is free`);
}

/**
 * A server as a child of this process: it listens when `start` resolves, and is gone after `stop` or with this
 * process.
 */
export class ServerProcess {
  readonly port: number;
  readonly #program: string;
  readonly #child: ChildProcess;
  readonly #killWithUs = (): void => void this.#child.kill('SIGKILL');
  #log = '';

  private constructor(program: string, args: readonly string[], port: number, env: Readonly<Record<string, string>>) {
    this.port = port;
    this.#program = program;
    const [command = program, ...rest] = [...dyingWithParent, program, ...args];
    this.#child = spawn(command, rest, { env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      stream?.setEncoding('utf8').on('data', (text: string) => (this.#log = (this.#log + text).slice(-logBytesMax)));
    }
    process.once('exit', this.#killWithUs);
  }

  static async start(
    program: string,
    argsFor: (port: number) => readonly string[],
    env: Readonly<Record<string, string>> = {},
    wanted: number | null = null,
  ): Promise<ServerProcess> {
    const port = wanted ?? (await freePort());
    const server = new ServerProcess(program, argsFor(port), port, env);
    try {
      await server.#listening();
      return server;
    } catch (error) {
      await server.stop();
      throw error;
    }
  }

  get pid(): number {
    return this.#child.pid ?? -1;
  }

  /** What it printed lately. */
  get log(): string {
    return this.#log;
  }

  /** Harmless when it has ended already. */
  async stop(signal: 'SIGTERM' | 'SIGKILL' = 'SIGTERM'): Promise<void> {
    process.removeListener('exit', this.#killWithUs);
    if (this.#hasEnded) return;
    const exit = once(this.#child, 'exit');
    this.#child.kill(signal);
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), stopTimeoutMs);
    await exit;
    clearTimeout(timer);
  }

  get #hasEnded(): boolean {
    return this.#child.pid === undefined || this.#child.exitCode !== null || this.#child.signalCode !== null;
  }

  async #listening(): Promise<void> {
    let failure: Error | null = null;
    this.#child.once('error', (error) => (failure = error));
    const deadline = performance.now() + startTimeoutMs;
    while (!(await canConnect(this.port))) {
      const late = performance.now() > deadline;
      if (failure !== null || this.#hasEnded || late) {
        const why = late ? `does not listen after ${startTimeoutMs / 1000} s` : 'ended at once';
        throw new Error(`${this.#program} ${why}: ${String(failure ?? '')} ${this.#log}`, { cause: failure });
      }
      await sleep(askAgainMs);
    }
  }
}

/** Stops a process as SIGSTOP does, and waits until none of its threads runs. SIGCONT ends it. */
export async function freeze(pid: number): Promise<void> {
  process.kill(pid, 'SIGSTOP');
  const stateOf = async (thread: string): Promise<string | undefined> => {
    const status = await readFile(`/proc/${pid}/task/${thread}/status`, 'utf8').catch(() => '');
    return /^State:\s+(\w)/m.exec(status)?.[1];
  };
  for (;;) {
    const states = await Promise.all((await readdir(`/proc/${pid}/task`)).map(stateOf));
    if (states.every((state) => state === 'T' || state === undefined)) return;
    await sleep(askAgainMs);
  }
}

function canConnect(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('connect', () => resolve(true)).once('error', () => resolve(false));
    socket.once('connect', () => socket.destroy());
  });
}
