import { cut } from './top/drawing.ts';

const redrawMs = 100;
const columnsDefault = 80;

/** One line on stderr that is written over again and again; silent where nobody looks. */
export class StatusLine {
  readonly #lively: boolean;
  #drawnMs = 0;

  constructor(lively: boolean) {
    this.#lively = lively;
  }

  /** `text` is asked for when it is to be shown: now, unless the last one was a moment ago. Cut to the terminal. */
  show(text: () => string): void {
    if (!this.#lively || performance.now() - this.#drawnMs < redrawMs) return;
    this.#drawnMs = performance.now();
    // The last column stays free: a terminal that wraps there would leave a line behind.
    const columns = (process.stderr.columns ?? columnsDefault) - 1;
    process.stderr.write(`\r${cut(text(), Math.max(1, columns))}\u001b[K`);
  }

  /** Leaves the terminal's line empty; what is written next stands there. */
  clear(): void {
    if (!this.#lively) return;
    process.stderr.write('\r\u001b[K');
    this.#drawnMs = 0;
  }
}
