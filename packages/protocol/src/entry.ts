/** A file or directory of the namespace. */
export interface Entry {
  /** Absolute path in the namespace, in normal form (path.ts). */
  readonly path: string;
  readonly type: 'file' | 'directory';
  /** Bytes; 0 for a directory. */
  readonly size: number;
  /** Milliseconds since 1970; null where the source does not say (directories of a bucket). */
  readonly mtimeMs: number | null;
  /**
   * The source's name of this version of the file, at most 1,024 bytes of ASCII; empty for a directory. Its first
   * character tells its kind: `"` an S3 ETag as sent, quotes included; `m` `m:SECONDS`, an S3 object without an ETag;
   * `f` `f:DEVICE:INODE:MTIME_NS:CTIME_NS`, a local file; `v` `v:ID`, an S3 version id. `m` and `f` are weak.
   */
  readonly tag: string;
}

/** The ETag in a tag, quotes included as the source sent them, or null where the source gives none. */
export function etagOf(tag: string): string | null {
  return tag.startsWith('"') ? tag : null;
}

export function isWeak(tag: string): boolean {
  return tag.startsWith('m:') || tag.startsWith('f:');
}
