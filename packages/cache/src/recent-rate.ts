/** After so long what came counts half: loaders come and go, and a pause of a minute is none. */
const halfLifeSeconds = 60;
/** Less is too short to tell a rate. */
const leastSeconds = 2;

/** What comes in a second, of late: as good an estimate after some seconds as after hours. */
export class RecentRate {
  #amount = 0;
  #seconds = 0;

  add(amount: number, seconds: number): void {
    const kept = 0.5 ** (seconds / halfLifeSeconds);
    this.#amount = this.#amount * kept + amount;
    this.#seconds = this.#seconds * kept + seconds;
  }

  /** Null until there is enough to tell by. */
  get perSecond(): number | null {
    return this.#seconds < leastSeconds ? null : this.#amount / this.#seconds;
  }
}
