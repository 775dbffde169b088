const redrawMs = 100;

/** One line on stderr that counts names of which nobody knows how many there are; silent where nobody looks. */
export class NameCount {
  readonly #lively: boolean;
  readonly #startMs = performance.now();
  #drawnMs = 0;

  constructor(lively: boolean) {
    this.#lively = lively;
  }

  show(names: number, rest: string): void {
    if (!this.#lively || performance.now() - this.#drawnMs < redrawMs) return;
    this.#drawnMs = performance.now();
    const seconds = (performance.now() - this.#startMs) / 1000;
    const rate = seconds > 0 ? Math.round(names / seconds) : 0;
    process.stderr.write(`\r${names} names, ${rate}/s, ${rest}\u001b[K`);
  }

  /** Leaves the terminal's line empty; what is written next stands there. */
  clear(): void {
    if (!this.#lively) return;
    process.stderr.write('\r\u001b[K');
    this.#drawnMs = 0;
  }
}
