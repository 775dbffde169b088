import { formatBytes } from '@millpool/protocol';

const redrawMs = 100;
const width = 28;

/** One line on stderr that fills up; silent where nobody looks. */
export class ProgressBar {
  readonly #lively: boolean;
  readonly #verb: string;
  readonly #startMs = performance.now();
  #total: number;
  #done = 0;
  #drawnMs = 0;

  /** `total` in bytes. */
  constructor(lively: boolean, verb: string, total: number) {
    this.#lively = lively;
    this.#verb = verb;
    this.#total = total;
  }

  advance(bytes: number): void {
    this.show(this.#done + bytes, this.#total);
  }

  show(done: number, total: number): void {
    this.#done = done;
    this.#total = total;
    if (!this.#lively || performance.now() - this.#drawnMs < redrawMs) return;
    this.#drawnMs = performance.now();
    process.stderr.write(`\r${this.#line()}\u001b[K`);
  }

  /** Leaves the terminal's line empty. */
  stop(): void {
    if (this.#lively) process.stderr.write('\r\u001b[K');
  }

  #line(): string {
    const share = this.#total === 0 ? 1 : Math.min(1, this.#done / this.#total);
    const full = Math.round(share * width);
    const seconds = (performance.now() - this.#startMs) / 1000;
    const rate = seconds > 0 ? this.#done / seconds : 0;
    const left = rate > 0 ? Math.max(0, Math.ceil((this.#total - this.#done) / rate)) : null;
    return (
      `[${'#'.repeat(full)}${'.'.repeat(width - full)}] ${(100 * share).toFixed(0).padStart(3)} %  ` +
      `${formatBytes(this.#done)} of ${formatBytes(this.#total)} ${this.#verb}, ${formatBytes(rate)}/s` +
      (left === null ? '' : `, ${left} s left`)
    );
  }
}
