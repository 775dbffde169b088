import { readdir, readFile } from 'node:fs/promises';

import type { Clock } from '@millpool/host';
import type { Engine, Lingering } from '@millpool/native';
import type { HolderStatus } from '@millpool/protocol';

import { programOf } from './readers.ts';

/** Clients let go of what they are told of within this: it is as good as free until then (docs/semantics.md). */
const letGoSeconds = 10;
/** What is held for a moment, by a batch under way, is not told. */
const leastSeconds = 1;
const scanEveryMs = 2_000;
/** In lines of /proc/PID/maps. */
const deletedSegment = /([0-9a-f]{32})\.(?:seg|open) \(deleted\)/gu;

/** Who keeps the room of unlinked segments: found in what the kernel says that processes have mapped. */
export class Holders {
  readonly #engine: Engine;
  readonly #clock: Clock;
  #lingering: readonly Lingering[] = [];
  #holders: readonly HolderStatus[] = [];
  #scannedMs = -Infinity;

  constructor(engine: Engine, clock: Clock) {
    this.#engine = engine;
    this.#clock = clock;
  }

  /** To be called again and again: gives back what was let go. */
  async look(): Promise<void> {
    this.#lingering = this.#engine.lingering();
    const told = this.#lingering.filter(({ seconds }) => seconds >= leastSeconds);
    if (told.length === 0) {
      this.#holders = [];
      return;
    }
    const nowMs = this.#clock.monotonicMs();
    if (nowMs - this.#scannedMs < scanEveryMs) return;
    this.#scannedMs = nowMs;
    this.#holders = await holdersOf(told);
  }

  list(): readonly HolderStatus[] {
    return this.#holders;
  }

  /** Of a device, as it was at the last look. */
  heldBytes(device: number): number {
    return this.#lingering.reduce((sum, held) => sum + (held.device === device ? held.bytes : 0), 0);
  }

  /** What is about to come free of the fast tier: to give up more for it would be too much. */
  get comingBytes(): number {
    const devices = this.#engine.devices();
    const coming = this.#lingering.filter(({ device, seconds }) => {
      return seconds < letGoSeconds && devices[device]?.tier === 'fast';
    });
    return coming.reduce((sum, { bytes }) => sum + bytes, 0);
  }
}

async function holdersOf(lingering: readonly Lingering[]): Promise<readonly HolderStatus[]> {
  const left = new Map(lingering.map((held) => [held.segment, held]));
  const holders: HolderStatus[] = [];
  // One after another: a large machine has thousands, and what they have mapped is long.
  for (const pid of await processes()) {
    const found = await holderOf(pid, lingering);
    if (found === null) continue;
    holders.push(found.holder);
    for (const { segment } of found.held) left.delete(segment);
  }
  if (left.size > 0) holders.push({ pid: null, program: '', isStopped: false, ...summed([...left.values()]) });
  return holders.toSorted((a, b) => b.bytes - a.bytes);
}

async function processes(): Promise<readonly number[]> {
  const names = await readdir('/proc').catch(() => []);
  return names.filter((name) => /^\d+$/u.test(name)).map(Number);
}

async function holderOf(
  pid: number,
  lingering: readonly Lingering[],
): Promise<{ readonly holder: HolderStatus; readonly held: readonly Lingering[] } | null> {
  // A process of another user does not show them, and one may end at any time.
  const maps = await readFile(`/proc/${pid}/maps`, 'utf8').catch(() => '');
  const mapped = new Set([...maps.matchAll(deletedSegment)].map(([, segment]) => segment));
  const held = lingering.filter(({ segment }) => mapped.has(segment));
  if (held.length === 0) return null;
  const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '');
  const isStopped = /^State:\s+[Tt]/mu.test(status);
  return { holder: { pid, program: await programOf(pid), isStopped, ...summed(held) }, held };
}

function summed(held: readonly Lingering[]): Pick<HolderStatus, 'segments' | 'bytes' | 'seconds'> {
  return {
    segments: held.length,
    bytes: held.reduce((sum, { bytes }) => sum + bytes, 0),
    seconds: Math.max(...held.map(({ seconds }) => seconds)),
  };
}
