import type { SourceHedges } from './why.ts';

/** Why a consumer waited (docs/concepts.md). `copy` is the copy to a GPU; `queue` is none of the others. */
export const waitCauses = ['source', 'peer', 'device', 'gather', 'transform', 'copy', 'queue'] as const;
export type WaitCause = (typeof waitCauses)[number];
export type SecondsByCause = { readonly [cause in WaitCause]: number };

/** Who reads what. Counts begin at the daemon's start (or a plan's), so that two readings make a rate. */
export interface ReadActivity {
  /** Seconds on the daemon's own clock, which never goes back. */
  readonly atSeconds: number;
  /** By all clients, also those that are gone. */
  readonly read: ReadCounts;
  /** Fetched ahead of loaders, which then found them in segments. */
  readonly fetchedAheadSamples: number;
  /** Of all loops that told. */
  readonly waitSeconds: SecondsByCause;
  /** Fetches that run and that wait to begin. */
  readonly fetching: number;
  readonly queued: number;
  readonly sources: readonly SourceActivity[];
  readonly readers: readonly ReaderActivity[];
  readonly loaders: readonly LoaderActivity[];
}

export interface ReadCounts {
  readonly samples: number;
  /** Those found in segments. */
  readonly hitSamples: number;
  readonly bytes: number;
}

/** What the source of one attachment has done since it was attached, or the daemon started. */
export interface SourceActivity {
  /** Where it is attached. */
  readonly path: string;
  /** Records that were fetched whole, their bytes, and those that could not be. */
  readonly fetches: number;
  readonly bytes: number;
  readonly errors: number;
  readonly hedges: SourceHedges;
  /** That all fetches took together, from the request to the last byte, with all that was tried again. */
  readonly seconds: number;
  /** Upper bounds of classes of durations, ascending. */
  readonly boundsSeconds: readonly number[];
  /** How many fetches took up to each bound and more than the one before; those above all come last. */
  readonly durations: readonly number[];
}

/** One process that is connected, as far as it has asked for anything. */
export interface ReaderActivity {
  readonly connection: number;
  readonly pid: number;
  /** Its command line, cut. */
  readonly program: string;
  readonly read: ReadCounts;
}

/** One epoch that a loader is in. */
export interface LoaderActivity {
  readonly plan: number;
  readonly connection: number;
  readonly path: string;
  readonly version: string;
  readonly epoch: number;
  readonly rank: number;
  readonly world: number;
  /** Samples of the dataset, and those delivered to the whole world in this epoch. */
  readonly samples: number;
  readonly position: number;
  readonly read: ReadCounts;
  readonly fetchedAheadSamples: number;
  readonly waitSeconds: SecondsByCause;
}
