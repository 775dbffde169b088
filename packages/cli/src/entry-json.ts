import { etagOf, isWeak } from '@millpool/protocol';
import type { Entry } from '@millpool/protocol';

/** An entry as `--json` shows it. */
export function entryJson(entry: Entry): object {
  return {
    path: entry.path,
    type: entry.type,
    sizeBytes: entry.size,
    mtime: entry.mtimeMs === null ? null : new Date(entry.mtimeMs).toISOString(),
    etag: etagOf(entry.tag),
    identity: entry.type === 'directory' ? null : isWeak(entry.tag) ? 'weak' : 'strong',
  };
}
