/** Some hundred bytes each. */
const namesMax = 10_000;

/**
 * Names that the source was asked for and does not have, so that a job that probes for one does not ask again and
 * again. A no is as good as a listing of the same age. Bounded: the ones that were told first go first.
 */
export class AbsentNames {
  /** When the source was asked, by attachment and path. */
  readonly #askedAtMs = new Map<string, number>();

  /** Whether a look-up at `floorMs` or later found nothing. */
  has(attachment: number, path: string, floorMs: number): boolean {
    const askedAtMs = this.#askedAtMs.get(keyOf(attachment, path));
    return askedAtMs !== undefined && askedAtMs >= floorMs;
  }

  add(attachment: number, path: string, askedAtMs: number): void {
    const key = keyOf(attachment, path);
    this.#askedAtMs.delete(key);
    this.#askedAtMs.set(key, askedAtMs);
    const [oldest] = this.#askedAtMs.keys();
    if (this.#askedAtMs.size > namesMax && oldest !== undefined) this.#askedAtMs.delete(oldest);
  }

  delete(attachment: number, path: string): void {
    this.#askedAtMs.delete(keyOf(attachment, path));
  }
}

function keyOf(attachment: number, path: string): string {
  return `${attachment} ${path}`;
}
