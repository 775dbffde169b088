import type { Clock } from '@millpool/host';
import type { JobStatus } from '@millpool/protocol';

type Counts = Pick<JobStatus, 'files' | 'filesDone' | 'bytes' | 'bytesDone' | 'bytesPerSecond' | 'secondsLeft'>;

/** The rate is of the last so many milliseconds. */
const rateWindowMs = 20_000;
const sampleEveryMs = 500;

/**
 * How far a load is: files and bytes that are resident, of those that were listed. While it runs what is done never
 * goes back, also where it goes over its files once more; when it has gone over all it is exact.
 */
export class LoadProgress {
  readonly #clock: Clock;
  readonly #samples: { readonly atMs: number; readonly bytes: number }[] = [];
  #files = 0;
  #bytes = 0;
  /** Of this pass over the files: seen, and found resident. */
  #seen = { files: 0, bytes: 0 };
  #done = { files: 0, bytes: 0 };
  #shown = { files: 0, bytes: 0 };
  /** Of each batch that is being fetched: what of it is resident by now. */
  readonly #underWay = new Map<object, { readonly files: number; readonly bytes: number }>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Before anything is loaded. */
  listed(files: number, bytes: number): void {
    this.#files = files;
    this.#bytes = bytes;
  }

  beginPass(): void {
    this.#seen = { files: 0, bytes: 0 };
    this.#done = { files: 0, bytes: 0 };
  }

  /** Files of this pass; where the listing has grown since it was counted, so has what is to be done. */
  saw(files: number, bytes: number): void {
    this.#seen.files += files;
    this.#seen.bytes += bytes;
    this.#files = Math.max(this.#files, this.#seen.files);
    this.#bytes = Math.max(this.#bytes, this.#seen.bytes);
  }

  settled(files: number, bytes: number): void {
    this.#done.files += files;
    this.#done.bytes += bytes;
    this.#show();
  }

  /** What is resident of a batch that is being fetched, on top of what is settled. */
  underWay(batch: object, files: number, bytes: number): void {
    this.#underWay.set(batch, { files, bytes });
    this.#show();
  }

  /** Nothing of it is under way any more; what it brought is settled next. */
  fetched(batch: object): void {
    this.#underWay.delete(batch);
  }

  #show(): void {
    let { files, bytes } = this.#done;
    for (const batch of this.#underWay.values()) {
      files += batch.files;
      bytes += batch.bytes;
    }
    this.#shown.files = Math.max(this.#shown.files, files);
    this.#shown.bytes = Math.max(this.#shown.bytes, bytes);
    const atMs = this.#clock.monotonicMs();
    if (atMs - (this.#samples.at(-1)?.atMs ?? Number.NEGATIVE_INFINITY) < sampleEveryMs) return;
    this.#samples.push({ atMs, bytes: this.#shown.bytes });
    while (atMs - (this.#samples[0]?.atMs ?? atMs) > rateWindowMs) this.#samples.shift();
  }

  /** All files were gone over, and the numbers are those of the last pass. */
  end(): void {
    this.listed(this.#seen.files, this.#seen.bytes);
    this.#shown = { ...this.#done };
  }

  get counts(): Counts {
    const bytesPerSecond = this.#bytesPerSecond();
    const left = this.#bytes - this.#shown.bytes;
    return {
      files: this.#files,
      filesDone: this.#shown.files,
      bytes: this.#bytes,
      bytesDone: this.#shown.bytes,
      bytesPerSecond,
      secondsLeft: bytesPerSecond > 0 ? left / bytesPerSecond : null,
    };
  }

  #bytesPerSecond(): number {
    const first = this.#samples[0];
    if (first === undefined) return 0;
    const seconds = (this.#clock.monotonicMs() - first.atMs) / 1000;
    return seconds < sampleEveryMs / 1000 ? 0 : (this.#shown.bytes - first.bytes) / seconds;
  }
}
