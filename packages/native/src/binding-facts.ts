/** What the engine knows of one object's records, and of one attachment's source: beside `native/node/src/facts.rs`. */
export interface NativeObjectFacts {
  readonly records: readonly NativeRecordFacts[];
  /** False: fates of some records were forgotten, and none need mean that nothing happened. */
  readonly fatesComplete: boolean;
}

export interface NativeRecordFacts {
  readonly bytes: number;
  readonly state: string;
  /** Where it is resident. */
  readonly place?: NativeRecordPlace;
  /** Where it is not: what became of it last. */
  readonly fate?: { readonly kind: string; readonly code?: number; readonly atSeconds: number };
}

export interface NativeRecordPlace {
  /** Fewer than the record has where it is compressed. */
  readonly storedBytes: number;
  /** As in the name of its file. */
  readonly segment: string;
  readonly number: number;
  /** Of the device, among all. */
  readonly device: number;
  readonly sealed: boolean;
  readonly verified: boolean;
  /** Of its bytes, those that the kernel has in memory. */
  readonly pageCacheBytes: number;
}

export interface NativeSourceTally {
  readonly fetches: number;
  readonly bytes: number;
  readonly errors: number;
  readonly lastError?: { readonly code: number; readonly message: string; readonly atSeconds: number };
  /** How many fetches took up to each bound and more than the one before; those above all come last. */
  readonly durations: readonly number[];
  readonly boundsSeconds: readonly number[];
  readonly seconds: number;
  /** GETs that were sent a second time, the first being slow, and how often the second was first. */
  readonly hedges: number;
  readonly hedgesWon: number;
}
