import type { ReadStream, WriteStream } from 'node:tty';

import { render } from './drawing.ts';
import type { Canvas, Line } from './drawing.ts';

const enter = '\u001b[?1049h\u001b[?25l';
const leave = '\u001b[?25h\u001b[?1049l';
/** Terminals that know it show a frame as a whole. */
const frame = { begin: '\u001b[?2026h\u001b[H', end: '\u001b[J\u001b[?2026l' } as const;
const keys = { interrupt: '\u0003', suspend: '\u001a' } as const;

/** What somebody at the keyboard wants. */
export interface Wishes {
  readonly quit: () => void;
  readonly interrupt: () => void;
  /** Draw again: the size changed, or the program was stopped meanwhile. */
  readonly redraw: () => void;
}

/** A terminal taken over for a while, on a screen of its own: what stood there comes back. */
export class Screen {
  readonly #output: WriteStream;
  readonly #input: ReadStream;
  readonly #wishes: Wishes;

  constructor(output: WriteStream, input: ReadStream, wishes: Wishes) {
    this.#output = output;
    this.#input = input;
    this.#wishes = wishes;
  }

  open(): void {
    this.#output.write(enter);
    this.#output.on('resize', this.#wishes.redraw);
    process.on('SIGCONT', this.#onContinued);
    if (!this.#input.isTTY) return;
    this.#input.setRawMode(true).setEncoding('utf8').on('data', this.#onKeys).resume();
  }

  get canvas(): Canvas {
    const { columns = 80, rows = 24 } = this.#output;
    const language = process.env['LC_ALL'] || process.env['LC_CTYPE'] || process.env['LANG'] || '';
    const blocks = /utf-?8/i.test(language);
    return { columns, rows, blocks, colours: (process.env['NO_COLOR'] ?? '') === '' && this.#output.hasColors() };
  }

  /** One write, over what stands there: nothing is cleared first, so nothing flickers. */
  show(lines: readonly Line[]): void {
    const { canvas } = this;
    const text = lines.slice(0, canvas.rows).map((line) => `${render(line, canvas)}\u001b[K`);
    this.#output.write(frame.begin + text.join('\n') + frame.end);
  }

  close(): void {
    this.#output.removeListener('resize', this.#wishes.redraw);
    process.removeListener('SIGCONT', this.#onContinued);
    if (this.#input.isTTY) {
      this.#input.removeListener('data', this.#onKeys);
      this.#input.setRawMode(false).pause();
    }
    this.#output.write(leave);
  }

  readonly #onKeys = (typed: string | Buffer): void => {
    for (const key of typed.toString()) {
      if (key === 'q' || key === 'Q') this.#wishes.quit();
      if (key === keys.interrupt) this.#wishes.interrupt();
      if (key === keys.suspend) this.#suspend();
    }
  };

  /** The shell gets its screen; `fg` gives this one back. */
  #suspend(): void {
    this.#output.write(leave);
    if (this.#input.isTTY) this.#input.setRawMode(false);
    process.kill(process.pid, 'SIGTSTP');
  }

  readonly #onContinued = (): void => {
    if (this.#input.isTTY) this.#input.setRawMode(true);
    this.#output.write(enter);
    this.#wishes.redraw();
  };
}
