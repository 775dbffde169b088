import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readdir, readlink } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join } from 'node:path';

import type { Role } from '@millpool/protocol';

const startDeadlineMs = 30_000;
const stopDeadlineMs = 30_000;

/** The `millpool` program of this clone. */
export const millpoolMain = createRequire(import.meta.url).resolve('@millpool/cli/main');

export interface NodeOptions {
  /** Holds sockets, state and (unless `data` says otherwise) the cache. */
  readonly directory: string;
  /** The first data directory. */
  readonly data?: string;
  /** Sources that `up` attaches; or the one role of a cluster that is started instead. */
  readonly sources?: readonly string[] | Role;
  /** More arguments of that. */
  readonly args?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** A program that runs what follows it in another place, such as a network namespace. */
  readonly within?: readonly string[];
  /** Who runs it; this process's own user without it. */
  readonly user?: User;
}

export interface User {
  readonly uid: number;
  readonly gid: number;
}

/** A real daemon in a process of its own, as `millpool up` starts it. */
export class MillpoolNode {
  readonly socket: string;
  readonly dataDirectory: string;
  readonly #child: ChildProcess;
  readonly #env: NodeJS.ProcessEnv;
  #stderr = '';

  private constructor(options: NodeOptions) {
    this.socket = join(options.directory, 'millpool.sock');
    this.dataDirectory = options.data ?? join(options.directory, 'data');
    this.#env = nodeEnvironment(options);
    const { sources = [] } = options;
    const verb = typeof sources === 'string' ? [sources] : ['up', ...sources];
    const data = sources === 'metadata' ? [] : ['--data', this.dataDirectory];
    const args = [...verb, ...data, ...(options.args ?? []), '--json'];
    const [program = process.execPath, ...rest] = [...(options.within ?? []), process.execPath, millpoolMain, ...args];
    this.#child = spawn(program, rest, {
      env: this.#env,
      stdio: ['ignore', 'pipe', 'pipe'],
      ...options.user,
    });
    this.#child.stderr?.setEncoding('utf8').on('data', (text: string) => (this.#stderr += text));
  }

  /** Resolves when the daemon answers; rejects with what it said when it ends instead. */
  static async start(options: NodeOptions): Promise<MillpoolNode> {
    const node = new MillpoolNode(options);
    const ready = new Promise<void>((resolve) => {
      let text = '';
      node.#child.stdout?.setEncoding('utf8').on('data', (chunk: string) => {
        text += chunk;
        if (text.includes('\n')) resolve();
      });
    });
    const late = setTimeout(() => node.#child.kill('SIGKILL'), startDeadlineMs);
    const ended = once(node.#child, 'exit').then(() => {
      throw new Error(`the daemon ended with ${String(node.ended)} before it was ready: ${node.#stderr}`);
    });
    ended.catch(() => undefined);
    await Promise.race([ready, ended]).finally(() => clearTimeout(late));
    return node;
  }

  get pid(): number {
    return this.#child.pid ?? -1;
  }

  get stderr(): string {
    return this.#stderr;
  }

  /** How it ended: its exit code or the signal; null while it runs. */
  get ended(): number | NodeJS.Signals | null {
    return this.#child.exitCode ?? this.#child.signalCode;
  }

  /** What its descriptors are open on, by number. */
  async descriptors(): Promise<ReadonlyMap<string, string>> {
    const directory = `/proc/${this.pid}/fd`;
    const open = new Map<string, string>();
    for (const number of await readdir(directory)) {
      // One that was closed meanwhile is none.
      const target = await readlink(join(directory, number)).catch(() => null);
      if (target !== null) open.set(number, target);
    }
    return open;
  }

  hangUp(): void {
    this.#child.kill('SIGHUP');
  }

  /** Nobody reads any more what it writes to its standard error. */
  closeStderr(): void {
    this.#child.stderr?.destroy();
  }

  /** Runs a CLI verb against this node. */
  run(...args: readonly string[]): Promise<CommandResult> {
    return runMillpool(args, this.#env);
  }

  /** Clean stop, as Ctrl-C does it; SIGKILL by `signal` for crash tests. */
  async stop(signal: 'SIGINT' | 'SIGKILL' = 'SIGINT'): Promise<number | null> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return this.#child.exitCode;
    const exit = once(this.#child, 'exit');
    this.#child.kill(signal);
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), stopDeadlineMs);
    await exit;
    clearTimeout(timer);
    return this.#child.exitCode;
  }
}

function nodeEnvironment(options: NodeOptions): NodeJS.ProcessEnv {
  return {
    ...process.env,
    MILLPOOL_SOCKET: join(options.directory, 'millpool.sock'),
    MILLPOOL_STATE_DIRECTORY: join(options.directory, 'state'),
    ...options.env,
  };
}

export interface CommandResult {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs the program to its end with stdin closed. */
export async function runMillpool(
  args: readonly string[],
  env: NodeJS.ProcessEnv,
  user?: User,
): Promise<CommandResult> {
  const options = { env, stdio: ['ignore', 'pipe', 'pipe'] as ['ignore', 'pipe', 'pipe'], ...user };
  const child = spawn(process.execPath, [millpoolMain, ...args], options);
  const out: Buffer[] = [];
  const err: Buffer[] = [];
  child.stdout.on('data', (chunk: Buffer) => out.push(chunk));
  child.stderr.on('data', (chunk: Buffer) => err.push(chunk));
  await once(child, 'close');
  return { code: child.exitCode, stdout: Buffer.concat(out).toString(), stderr: Buffer.concat(err).toString() };
}
