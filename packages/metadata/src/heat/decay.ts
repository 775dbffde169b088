/**
 * Weights that grow instead of counters that shrink (forward decay: Cormode, Shkapenyuk, Srivastava and Xu, "Forward
 * Decay", ICDE 2009): what is counted at t weighs 2^((t - landmark) / halfLife), so counters are added to and compared
 * as they are, and only a reader scales them. The landmark moves by whole half-lives, which are exact powers of two.
 */
export class Decay {
  readonly #halfLifeMs: number;
  /** Landmark, latest time seen, its weight. Numbers in an array are changed in place, without a new object. */
  readonly #times = new Float64Array(3);
  #isStarted = false;

  constructor(halfLifeMs: number) {
    if (!(halfLifeMs > 0 && Number.isFinite(halfLifeMs))) throw new RangeError(`a half-life of ${halfLifeMs} ms`);
    this.#halfLifeMs = halfLifeMs;
  }

  /** What one operation at `nowMs` weighs. Time does not run backwards: an earlier time counts as the latest seen. */
  weightAt(nowMs: number): number {
    const times = this.#times;
    if (!this.#isStarted) this.#start(nowMs);
    if (nowMs > (times[1] as number)) {
      times[1] = nowMs;
      times[2] = 2 ** ((nowMs - (times[0] as number)) / this.#halfLifeMs);
    }
    return times[2] as number;
  }

  /** What turns a counter into operations a second: a steady rate r settles at a count of r x halfLife / ln 2. */
  rateScaleAt(nowMs: number): number {
    return Math.LN2 / (this.#halfLifeMs / 1_000) / this.weightAt(nowMs);
  }

  /**
   * Where weights would leave the numbers' range, moves the landmark and says what all counters are to be multiplied
   * by; else 1.
   */
  shiftAt(nowMs: number): number {
    if (this.weightAt(nowMs) < 2 ** shiftHalfLives) return 1;
    const times = this.#times;
    const halfLives = Math.floor(((times[1] as number) - (times[0] as number)) / this.#halfLifeMs);
    times[0] = (times[0] as number) + halfLives * this.#halfLifeMs;
    times[2] = 2 ** (((times[1] as number) - (times[0] as number)) / this.#halfLifeMs);
    return 2 ** -halfLives;
  }

  #start(nowMs: number): void {
    if (!Number.isFinite(nowMs)) throw new RangeError(`a time of ${nowMs} ms`);
    this.#isStarted = true;
    this.#times.set([nowMs, nowMs, 1]);
  }
}

/** Far below the 1,023 that a double holds, so that sums fit too. */
const shiftHalfLives = 512;
