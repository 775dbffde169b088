import type { Clock, Log } from '@millpool/host';
import type { Engine } from '@millpool/native';
import type { CopyStatus } from '@millpool/protocol';

import { chooseCopy, mayBeWorthCopying } from './copy-choice.ts';
import type { Candidate } from './copy-choice.ts';
import { nameOf } from './segment-worths.ts';
import type { SegmentFacts } from './victims.ts';
import { WriteBudget } from './write-budget.ts';

interface Parts {
  readonly engine: Engine;
  readonly clock: Clock;
  readonly log: Log;
  /** Of what is fetched, what copying may write. */
  readonly copyShare: number;
}

/** Whom room is won back for. */
export interface RoomWanted {
  /** What may be copied, as it is at the time. */
  readonly segments: () => readonly SegmentFacts[];
  readonly giveUp: (segment: SegmentFacts) => Promise<void>;
  /** Is about to come free by itself. */
  readonly comingBytes: number;
}

/** For a segment of 256 MiB at a slow device. */
const copyTimeoutMs = 120_000;
/** Between two looks of the eviction, no more segments than this. */
const copiesAtOnce = 8;
/** One that could not be copied is not tried again before this. */
const passOverMs = 60_000;

/** Wins back the room of records that nobody can find any more, by copying the others out of their segments. */
export class Compaction {
  readonly #parts: Parts;
  readonly #budget: WriteBudget;
  /** What was counted of segments, by name; as long as they have so much live, it is right. */
  readonly #counted = new Map<string, { readonly liveBytes: number; readonly packedBytes: number }>();
  /** Until when those that failed are passed over. */
  readonly #passedOver = new Map<string, number>();
  readonly #stop = new AbortController();
  #running: Promise<void> | null = null;
  #copied: CopyStatus = { segments: 0, bytes: 0, freedBytes: 0 };

  constructor(parts: Parts) {
    this.#parts = parts;
    this.#budget = new WriteBudget(parts.copyShare);
  }

  /** Since the daemon started. */
  get copied(): CopyStatus {
    return this.#copied;
  }

  /** Somebody wants room. Returns at once; what is under way goes on. */
  begin(wanted: RoomWanted): void {
    if (this.#running !== null || this.#parts.copyShare === 0) return;
    this.#running = this.#run(wanted)
      .catch((error: unknown) => this.#parts.log.warn('copying forward failed', { error: String(error) }))
      .finally(() => (this.#running = null));
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#running;
  }

  async #run(wanted: RoomWanted): Promise<void> {
    const before = this.#copied;
    for (let copies = 0; copies < copiesAtOnce && !this.#stop.signal.aborted; copies += 1) {
      const candidates = await this.#candidates(wanted.segments());
      const choice = chooseCopy(candidates, { ...this.#terms(), comingBytes: wanted.comingBytes });
      // What is copied needs room before it gives any, so what is left is not for newcomers meanwhile.
      const isGarbageLeft = choice.kind !== 'wait' || choice.lacking !== 'garbage';
      this.#parts.engine.reserveForCopies(isGarbageLeft ? this.#parts.engine.segmentBytes() : 0);
      if (choice.kind === 'wait') break;
      if (choice.kind === 'give-up') {
        // What was given up or copied a moment ago may be mapped still, and comes free soon: that is seen at a look.
        if (copies === 0) await wanted.giveUp(choice.segment);
        break;
      }
      await this.#copy(choice.segment);
    }
    const [segments, bytes] = [this.#copied.segments - before.segments, this.#copied.bytes - before.bytes];
    const freedBytes = this.#copied.freedBytes - before.freedBytes;
    if (segments > 0)
      this.#parts.log.info('segments copied forward, room being wanted', { segments, bytes, freedBytes });
  }

  #terms(): { readonly budgetBytes: number; readonly roomBytes: number } {
    const { engine } = this.#parts;
    const devices = engine.devices().filter(({ tier, state }) => tier === 'fast' && state !== 'failed');
    const capacityBytes = devices.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
    this.#budget.earn(engine.counters().sourceBytes, capacityBytes);
    const roomBytes = devices.reduce((sum, { copyRoomBytes }) => sum + copyRoomBytes, 0);
    return { budgetBytes: this.#budget.leftBytes, roomBytes };
  }

  async #candidates(segments: readonly SegmentFacts[]): Promise<readonly Candidate[]> {
    const nowMs = this.#parts.clock.monotonicMs();
    this.#forgetOthers(new Set(segments.map(nameOf)), nowMs);
    const candidates: Candidate[] = [];
    for (const segment of segments) {
      const name = nameOf(segment);
      if (!mayBeWorthCopying(segment) || this.#passedOver.has(name)) continue;
      const known = this.#counted.get(name);
      const packedBytes =
        known?.liveBytes === segment.liveBytes ? known.packedBytes : await this.#parts.engine.packedBytes(segment);
      if (packedBytes === null) continue;
      this.#counted.set(name, { liveBytes: segment.liveBytes, packedBytes });
      candidates.push({ ...segment, packedBytes });
    }
    return candidates;
  }

  async #copy(segment: Candidate): Promise<void> {
    const { engine, clock, log } = this.#parts;
    const passOver = (): unknown => this.#passedOver.set(nameOf(segment), clock.monotonicMs() + passOverMs);
    try {
      const { bytes, retired } = await engine.copyForward(segment, copyTimeoutMs);
      this.#budget.spend(bytes);
      const freedBytes = retired ? Math.max(0, segment.bytes - segment.packedBytes) : 0;
      const { segments, bytes: bytesBefore, freedBytes: freedBefore } = this.#copied;
      this.#copied = { segments: segments + 1, bytes: bytesBefore + bytes, freedBytes: freedBefore + freedBytes };
      if (!retired) passOver();
    } catch (error) {
      passOver();
      log.warn('a segment could not be copied forward', { segment: segment.number, error: String(error) });
    }
  }

  #forgetOthers(here: ReadonlySet<string>, nowMs: number): void {
    for (const name of this.#counted.keys()) if (!here.has(name)) this.#counted.delete(name);
    for (const [name, untilMs] of this.#passedOver)
      if (untilMs <= nowMs || !here.has(name)) this.#passedOver.delete(name);
  }
}
