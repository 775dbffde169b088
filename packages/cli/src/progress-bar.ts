import { formatBytes } from '@millpool/protocol';

import { StatusLine } from './status-line.ts';

const width = 28;
/** In fewer columns there is no bar, and what it stands for comes first. */
const columnsForBar = 72;

/** How much of something is done, from 0 to 1, as a bar where there is room for it, and in percent. */
export function barOf(share: number): string {
  const full = Math.round(share * width);
  const isWide = (process.stderr.columns ?? columnsForBar) >= columnsForBar;
  const bar = isWide ? `[${'#'.repeat(full)}${'.'.repeat(width - full)}] ` : '';
  return `${bar}${(100 * share).toFixed(0).padStart(3)} % `;
}

/** One line on stderr that fills up; silent where nobody looks. */
export class ProgressBar {
  readonly #line: StatusLine;
  readonly #verb: string;
  readonly #startMs = performance.now();
  #total: number;
  #done = 0;

  /** `total` in bytes. */
  constructor(lively: boolean, verb: string, total: number) {
    this.#line = new StatusLine(lively);
    this.#verb = verb;
    this.#total = total;
  }

  advance(bytes: number): void {
    this.show(this.#done + bytes, this.#total);
  }

  show(done: number, total: number): void {
    this.#done = done;
    this.#total = total;
    this.#line.show(() => this.#text());
  }

  /** Leaves the terminal's line empty. */
  stop(): void {
    this.#line.clear();
  }

  #text(): string {
    const share = this.#total === 0 ? 1 : Math.min(1, this.#done / this.#total);
    const seconds = (performance.now() - this.#startMs) / 1000;
    const rate = seconds > 0 ? this.#done / seconds : 0;
    const left = rate > 0 ? Math.max(0, Math.ceil((this.#total - this.#done) / rate)) : null;
    return (
      `${barOf(share)} ` +
      `${formatBytes(this.#done)} of ${formatBytes(this.#total)} ${this.#verb}, ${formatBytes(rate)}/s` +
      (left === null ? '' : `, ${left} s left`)
    );
  }
}
