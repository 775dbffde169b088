import { MemoryBucket } from './memory-bucket.ts';

const crashFiles = 20_000;
export const crashLimits = { shards: 64, partitionNamesMax: 3_000 } as const;

/** What a bucket of the crash test holds in its even and odd rounds: everything differs, and some of the names too. */
export function crashBucket(name: string, round: number): MemoryBucket {
  const bucket = new MemoryBucket(`${name}/`);
  for (let at = round % 2 === 0 ? 0 : 3_000; at < crashFiles; at += 1) {
    const file = at % 10 === 0 ? `dir${at}/x` : `n${at}`;
    bucket.put(`${name}/${file}`, at + (round % 2));
  }
  return bucket;
}

/** What a listing of it says, a line an entry. */
export function crashListing(path: string, round: number): string[] {
  const lines: string[] = [];
  for (let at = round % 2 === 0 ? 0 : 3_000; at < crashFiles; at += 1) {
    lines.push(at % 10 === 0 ? `${path}/dir${at} directory 0` : `${path}/n${at} file ${at + (round % 2)}`);
  }
  const nameOf = (line: string): string => line.split(' ', 1)[0] as string;
  return lines.toSorted((left, right) => (nameOf(left) < nameOf(right) ? -1 : 1));
}
