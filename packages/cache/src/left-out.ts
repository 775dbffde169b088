import type { Tier } from '@millpool/protocol';

/** A data directory that the daemon started without: it is taken up again at the next start. */
export interface LeftOut {
  readonly path: string;
  readonly tier: Tier;
  /** A sentence that names it. */
  readonly reason: string;
  /** What it was to hold when it was last used; null: nobody knows. */
  readonly sizeBytes: number | null;
}
