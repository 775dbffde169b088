import { readdirSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';

/** One that nobody has used for so long goes: each change of what tests need makes another. */
const keptMs = 14 * 86_400_000;
/** Whole ones: the Python version, and a digest of what is in them. Others were cut off while they were made. */
const whole = /^python-(?<version>[\d.]+)-[\da-f]{12}$/u;

/**
 * Removes the Python environments that were not used for long, but of each Python version the newest whole one: whoever
 * comes back to it does not install it all again.
 * @param {string} caches the folder of all of them; what else lies there stays.
 */
export function removeUnused(caches) {
  const newest = new Set();
  for (const { place, version, usedMs } of environments(caches).sort((one, other) => other.usedMs - one.usedMs)) {
    const isNewest = version !== undefined && !newest.has(version);
    if (isNewest) newest.add(version);
    else if (usedMs < Date.now() - keptMs) rmSync(place, { recursive: true, force: true });
  }
}

function environments(caches) {
  return readdirSync(caches)
    .filter((name) => name.startsWith('python-'))
    .map((name) => {
      const place = join(caches, name);
      // One that another run has just removed or put in its place is left alone.
      const usedMs = statSync(place, { throwIfNoEntry: false })?.mtimeMs ?? Date.now();
      return { place, version: whole.exec(name)?.groups.version, usedMs };
    });
}
