/** After so long what was read counts half: loaders come and go, and a pause of a minute is none. */
const halfLifeSeconds = 60;
/** Less is too short to tell a rate. */
const leastSeconds = 2;

/** Bytes a second, of late: as good an estimate after some seconds as after hours. */
export class ReadRate {
  #bytes = 0;
  #seconds = 0;

  add(bytes: number, seconds: number): void {
    const kept = 0.5 ** (seconds / halfLifeSeconds);
    this.#bytes = this.#bytes * kept + bytes;
    this.#seconds = this.#seconds * kept + seconds;
  }

  /** Null until there is enough to tell by. */
  get bytesPerSecond(): number | null {
    return this.#seconds < leastSeconds ? null : this.#bytes / this.#seconds;
  }
}
