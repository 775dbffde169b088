import { unpackEntries, waitCauses } from '@millpool/protocol';

import type { Session } from '../session.ts';
import { notMeasured } from './ceiling.ts';
import type { Ceiling } from './ceiling.ts';

/** Files that are looked at for some that are not cached, and what is read of those at most. */
const filesMax = 8_192;
const samplesMax = 1_024;
const sourceBytesMax = 512 * 1024 ** 2;
const samplesOfBatch = 64;
const batchesAtOnce = 8;
const loaderBatch = 256;

interface Asked {
  readonly path: string;
  readonly session: Session;
  readonly seconds: number;
  readonly signal: AbortSignal;
}

/** Files below a path that are not cached, read as fast as they come; they are cached afterwards, as by any read. */
export async function sourceCeiling(asked: Asked): Promise<Ceiling> {
  const { path, session, seconds, signal } = asked;
  const what = `files below ${path} that are not cached`;
  const cold = await coldFiles(asked);
  if (cold.length === 0) return notMeasured('source', what, 'all files that were looked at are cached');
  const batches = cold.flatMap((_, n) => (n % samplesOfBatch === 0 ? [cold.slice(n, n + samplesOfBatch)] : []));
  const mill = await session.mill();
  const startMs = performance.now();
  const endMs = startMs + seconds * 1_000;
  let [samples, bytes] = [0, 0];
  const queue = batches.values();
  const worker = async (): Promise<void> => {
    for (const paths of queue) {
      using batch = await mill.readMany(paths, { signal });
      samples += batch.length;
      for (let n = 0; n < batch.length; n += 1) bytes += batch.sample(n).byteLength;
      if (performance.now() > endMs) return;
    }
  };
  await Promise.all(Array.from({ length: batchesAtOnce }, worker));
  const took = (performance.now() - startMs) / 1_000;
  const note = `${samples} files`;
  return { stage: 'source', what, bytesPerSecond: bytes / took, perSecond: samples / took, note };
}

async function coldFiles({ path, session, signal }: Asked): Promise<readonly string[]> {
  const page = await session.call('list', { path, recursive: true, cursor: null, limit: filesMax }, { signal });
  const paths = unpackEntries(page.entries).map((entry) => entry.path);
  const { results } = await session.call('stat', { paths }, { signal });
  const cold: string[] = [];
  let bytes = 0;
  for (const file of results) {
    if (cold.length === samplesMax || bytes > sourceBytesMax) break;
    if ('error' in file || file.cachedBytes > 0) continue;
    cold.push(file.path);
    bytes += file.size;
  }
  return cold;
}

/** A loader over all below a path whose loop does nothing. */
export async function loaderCeiling({ path, session, seconds, signal }: Asked): Promise<Ceiling> {
  const data = await (await session.mill()).dataset(path, { signal });
  const what = `shuffled batches of ${loaderBatch} below ${path}`;
  const loader = data.loader({ batchSize: loaderBatch, shuffle: true, seed: Date.now() % 2 ** 31, signal });
  const endMs = performance.now() + seconds * 1_000;
  for await (using batch of loader) {
    if (performance.now() > endMs && batch.length > 0) break;
  }
  const { samples, bytes, seconds: took, hitRatio, waitSeconds } = loader.report();
  if (samples === 0) return notMeasured('loader', what, 'there are no files');
  const most = waitCauses.reduce((left, right) => (waitSeconds[right] > waitSeconds[left] ? right : left));
  const note = `${(100 * hitRatio).toFixed(0)} % needed no GET; waits most for ${most}`;
  return { stage: 'loader', what, bytesPerSecond: bytes / took, perSecond: samples / took, note };
}
