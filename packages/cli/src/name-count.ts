import { StatusLine } from './status-line.ts';

/** One line on stderr that counts names of which nobody knows how many there are; silent where nobody looks. */
export class NameCount {
  readonly #line: StatusLine;
  readonly #startMs = performance.now();

  constructor(lively: boolean) {
    this.#line = new StatusLine(lively);
  }

  show(names: number, rest: string): void {
    const seconds = (performance.now() - this.#startMs) / 1000;
    const rate = seconds > 0 ? Math.round(names / seconds) : 0;
    this.#line.show(() => `${names} names, ${rate}/s, ${rest}`);
  }

  /** Leaves the terminal's line empty; what is written next stands there. */
  clear(): void {
    this.#line.clear();
  }
}
