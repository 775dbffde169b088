import { formatBytes } from '@millpool/protocol';
import type { CheckSourceReply, SourceDifference } from '@millpool/protocol';

import { PartlyDone } from './command-context.ts';
import type { Tools } from './command-context.ts';
import { NameCount } from './name-count.ts';
import { printable } from './output.ts';

/** Each page begins its LISTs anew: what was asked for beyond its end is lost. */
const filesAtOnce = 50_000;
/** Of one page: its LISTs have patience of their own. */
const pageSeconds = 600;

/** Shows what of the namespace is not so at the source, as it is found; throws `PartlyDone` when anything is not. */
export async function checkSource(path: string, { session, output, signal }: Tools): Promise<void> {
  const found = { changed: 0, missing: 0, new: 0, unlisted: 0 };
  const total = { files: 0, filesNotCompared: 0, filesWeak: 0 };
  const startMs = performance.now();
  const count = new NameCount(output.lively);
  try {
    let cursor: string | null = null;
    do {
      const request = { path, cursor, limit: filesAtOnce };
      const options = { signal, timeoutSeconds: pageSeconds };
      const page: CheckSourceReply = await session.call('check-source', request, options);
      if (page.differences.length > 0) count.clear();
      for (const difference of page.differences) {
        found[difference.kind] += 1;
        output.result(difference, lineOf(difference));
      }
      total.files += page.files;
      total.filesNotCompared += page.filesNotCompared;
      total.filesWeak += page.filesWeak;
      count.show(total.files + total.filesNotCompared, `${found.changed + found.missing + found.new} differences`);
      cursor = page.cursor;
    } while (cursor !== null);
  } finally {
    count.clear();
  }
  const seconds = (performance.now() - startMs) / 1000;
  const differences = found.changed + found.missing + found.new;
  const isSame =
    differences === 0 ? 'nothing differs' : `${found.changed} changed, ${found.missing} missing, ${found.new} new`;
  output.result(
    { path, ...total, ...found, seconds },
    `Compared ${total.files} files in ${seconds.toFixed(1)} s: ${isSame}.`,
  );
  if (found.unlisted > 0) {
    output.note(
      `${found.unlisted} directories were never listed, so nothing of them could be compared (\`unlisted\`).`,
    );
  }
  if (total.filesWeak > 0) {
    output.note(`${total.filesWeak} files have no etag at the source: they were compared by size and time alone.`);
  }
  if (differences > 0) throw new PartlyDone([]);
}

function lineOf({ kind, type, path, storedBytes, sourceBytes }: SourceDifference): string {
  const name = `${kind.padEnd('unlisted'.length)}  ${printable(path)}${type === 'directory' ? '/' : ''}`;
  if (storedBytes === null || sourceBytes === null || storedBytes === sourceBytes) return name;
  return `${name}  ${formatBytes(storedBytes)} -> ${formatBytes(sourceBytes)}`;
}
