/** How old metadata may be: never asked again, at most `seconds` old, or asked at every open. */
export type Freshness =
  | { readonly kind: 'immutable' }
  | { readonly kind: 'ttl'; readonly seconds: number }
  | { readonly kind: 'strict' };

export const policies = ['auto', 'keep', 'order', 'sieve', 'stream'] as const;
export type Policy = (typeof policies)[number];

/** How records are stored: as they are, compressed where room is short and it pays, or each that shrinks. */
export const compressions = ['off', 'auto', 'lz4'] as const;
export type Compression = (typeof compressions)[number];

/** What S3 needs beside the bucket; everything absent is AWS's own default. */
export interface S3Settings {
  readonly endpoint: string | null;
  readonly region: string | null;
  readonly profile: string | null;
  readonly anonymous: boolean;
  readonly requesterPays: boolean;
}

/** An under-storage prefix at a path of the namespace, as it is kept in the coordination store. No credentials. */
export interface Attachment {
  /** A small number, never used again for another attachment of this store. */
  readonly id: number;
  /** Where it appears: absolute, in normal form, never `/`. */
  readonly path: string;
  /** `s3://bucket/prefix` (no trailing slash) or the absolute real path of a folder. */
  readonly source: string;
  /** Where the bytes truly come from: `s3\0ENDPOINT\0BUCKET` or `local\0DEVICE\0REAL ROOT`. Hashed into every key. */
  readonly identity: string;
  readonly freshness: Freshness;
  readonly policy: Policy;
  readonly compression: Compression;
  readonly readOnly: boolean;
  readonly s3: S3Settings | null;
  /** ISO 8601 with zone. */
  readonly attachedAt: string;
}
