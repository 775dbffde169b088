const tagBytesMax = 1024;

/**
 * The tag of an object: its ETag with quotes (some servers leave them out of lists), or, where it has none that could
 * be sent back in `If-Match`, the second it was modified. Null when the source gives neither.
 */
export function versionTag(etag: string | undefined, mtimeMs: number | null): string | null {
  if (etag !== undefined && isStrong(etag)) return etag.startsWith('"') ? etag : `"${etag}"`;
  return mtimeMs !== null && Number.isFinite(mtimeMs) ? `m:${Math.floor(mtimeMs / 1000)}` : null;
}

/** A weak ETag (`W/"…"`) never matches; an empty one is what servers send for files put behind their back. */
function isStrong(etag: string): boolean {
  const isPlain = /^"[\x21\x23-\x7e]+"$|^[\x21\x23-\x7e]+$/.test(etag);
  return isPlain && !etag.startsWith('W/') && etag.length <= tagBytesMax - 2;
}
