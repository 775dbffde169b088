import { spawn, spawnSync } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { EventEmitter, once } from 'node:events';

import { millpoolMain } from './millpool-process.ts';

const patienceMs = 60_000;

export interface TerminalSize {
  readonly rows: number;
  readonly columns: number;
}

/** Why no terminal can be made here; null where one can. */
export function noTerminal(): string | null {
  return spawnSync('script', ['--version']).status === 0 ? null : 'there is no script(1) to make a terminal';
}

/** A `millpool` command on a terminal of its own, which shows what it writes and takes what is typed. */
export class Terminal {
  readonly #child: ChildProcess;
  readonly #news = new EventEmitter();
  #text = '';

  private constructor(child: ChildProcess) {
    this.#child = child;
    child.stdout?.setEncoding('utf8').on('data', (chunk: string) => {
      this.#text += chunk;
      this.#news.emit('text');
    });
    child.once('close', () => this.#news.emit('text'));
  }

  /** Arguments are words that a shell leaves as they are. */
  static run(
    args: readonly string[],
    { rows, columns }: TerminalSize,
    env: Readonly<Record<string, string>>,
  ): Terminal {
    const command = `stty rows ${rows} cols ${columns}; exec ${process.execPath} ${millpoolMain} ${args.join(' ')}`;
    const child = spawn('script', ['-qfec', command, '/dev/null'], {
      env: { ...process.env, LANG: 'C.UTF-8', TERM: 'xterm-256color', ...env },
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    return new Terminal(child);
  }

  /** All that was written so far. */
  get text(): string {
    return this.#text;
  }

  /** What a person sees who looks at the lines as they were last written: of those written over, the last. */
  get lines(): readonly string[] {
    // oxlint-disable-next-line no-control-regex
    const plain = this.#text.replaceAll(/\u001b\[[0-9;?]*[A-Za-z]/g, '');
    return plain.split('\n').map((line) => line.replace(/\r$/, '').split('\r').at(-1) ?? '');
  }

  type(keys: string): void {
    this.#child.stdin?.write(keys);
  }

  /** Waits until this has been written. */
  async shows(wanted: RegExp): Promise<void> {
    const late = AbortSignal.timeout(patienceMs);
    while (!wanted.test(this.#text)) {
      if (this.#child.exitCode !== null) throw new Error(`it ended without ${wanted}: ${this.#text}`);
      await once(this.#news, 'text', { signal: late }).catch(() => {
        throw new Error(`no ${wanted} in: ${this.#text}`);
      });
    }
  }

  /** Its exit code, when it has ended. */
  async ended(): Promise<number | null> {
    const late = setTimeout(() => this.#child.kill('SIGKILL'), patienceMs);
    if (this.#child.exitCode === null) await once(this.#child, 'close');
    clearTimeout(late);
    return this.#child.exitCode;
  }
}
