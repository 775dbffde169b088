import type { NativePace } from './binding.ts';
import { binding } from './load.ts';
import { called } from './native-error.ts';

export interface PaceLimits {
  /** Of bytes that come from the source, at least 1; null: none. */
  readonly bytesPerSecond: number | null;
  /** Requests to the source under way, at least 1; null: none. */
  readonly getsAtOnce: number | null;
}

/**
 * How fast fetches may go that share it. In any window at most the rate times the window, 50 ms more of it, and one
 * record (4 MiB) are asked for; what is asked again after a failure is not counted.
 */
export class Pace {
  readonly native: NativePace;

  constructor({ bytesPerSecond, getsAtOnce }: PaceLimits) {
    this.native = called(() => new (binding().NativePace)(bytesPerSecond, getsAtOnce));
  }

  static unlimited(): Pace {
    return new Pace({ bytesPerSecond: null, getsAtOnce: null });
  }
}
