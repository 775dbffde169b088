import { setTimeout as sleep } from 'node:timers/promises';

import type { DatasetRequest, SnapshotProgress } from '@millpool/protocol';

import type { Tools } from './command-context.ts';
import { StatusLine } from './status-line.ts';

const livelyMs = 250;
/** Of lines for programs. */
const linesMs = 1_000;

/**
 * Shows how far a snapshot is until the signal aborts: in one line on a terminal, and under `--json` as lines on
 * stderr, so that stdout has the one result. Where it cannot be told, nothing is said: the snapshot's own call does.
 */
export async function watchSnapshot(
  request: Pick<DatasetRequest, 'path' | 'include'>,
  { session, output }: Tools,
  signal: AbortSignal,
): Promise<void> {
  if (!output.lively && !output.json) return;
  const line = new StatusLine(output.lively);
  const rate = new FileRate();
  try {
    for (;;) {
      await sleep(output.json ? linesMs : livelyMs, undefined, { signal });
      const { snapshots } = await session.call('dataset-making', {}, { signal });
      const made = snapshots.find(({ path, include }) => path === request.path && include === request.include);
      if (made === undefined) continue;
      const filesPerSecond = rate.of(made);
      if (output.json) output.progress(json(made, filesPerSecond));
      else line.show(() => textOf(made, filesPerSecond));
    }
  } catch {
    // It is over, or the daemon is gone.
  } finally {
    line.clear();
  }
}

/** Of late: between two looks, of one stage. */
class FileRate {
  #before: SnapshotProgress | null = null;

  of(now: SnapshotProgress): number {
    const before = this.#before;
    this.#before = now;
    const since = before === null || before.stage !== now.stage ? { seen: 0, seconds: 0 } : before;
    const seconds = now.seconds - since.seconds;
    return seconds > 0 ? Math.max(0, (now.seen - since.seen) / seconds) : 0;
  }
}

function json({ path, include, stage, seen, total, files, bytes, seconds }: SnapshotProgress, rate: number): object {
  const counted = { seenFiles: seen, totalFiles: total, files, sizeBytes: bytes };
  return { path, include, stage, ...counted, filesPerSecond: Math.round(rate), seconds };
}

function textOf({ stage, seen, total, files, include }: SnapshotProgress, rate: number): string {
  const of = total === null ? '' : ` of ${total} (${Math.floor((100 * seen) / Math.max(1, total))} %)`;
  const taken = include === null || stage === 'listing' ? '' : `, ${files} match`;
  return `${stage}: ${seen}${of} files, ${Math.round(rate)}/s${taken}`;
}
