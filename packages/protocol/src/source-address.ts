/** Where the files of an attachment are, as much as reading them needs: plain data, no credentials. */
export type SourceAddress =
  | { readonly kind: 'folder'; readonly root: string }
  | {
      readonly kind: 's3';
      /** Scheme, host and port, no slash at its end; without the bucket. */
      readonly endpoint: string;
      readonly region: string;
      readonly bucket: string;
      /** True: `endpoint/bucket/key`. False: the bucket is a label of the host. */
      readonly pathStyle: boolean;
      /** Requests are not signed. */
      readonly anonymous: boolean;
      readonly requesterPays: boolean;
      /** PEM files of certificate authorities that are trusted beside those of the machine. */
      readonly authorityFiles: readonly string[];
    };

/** Never logged, never sent to another machine. */
export interface SourceCredentials {
  readonly accessKey: string;
  readonly secretKey: string;
  readonly sessionToken?: string;
  /** Milliseconds since 1970; absent where they do not expire. */
  readonly expiresAtMs?: number;
}
