import { setImmediate as turnOfEventLoop } from 'node:timers/promises';
import { sleepUntil } from '../clock.ts';
import type { Clock, Timer } from '../clock.ts';

interface Alarm {
  readonly atMs: number;
  readonly ring: () => void;
}

/** A clock that stands still until `advance` turns it. Its timers ring in the order of their times. */
export class HandClock implements Clock {
  readonly #startMs: number;
  #elapsedMs = 0;
  /** In the order in which they were set. */
  readonly #alarms = new Set<Alarm>();

  constructor(startMs = Date.UTC(2026, 0, 1)) {
    this.#startMs = startMs;
  }

  nowMs(): number {
    return this.#startMs + this.#elapsedMs;
  }

  monotonicMs(): number {
    return this.#elapsedMs;
  }

  bootMs(): number {
    return this.#elapsedMs;
  }

  after(delayMs: number, ring: () => void): Timer {
    const alarm = { atMs: this.#elapsedMs + Math.max(0, delayMs), ring };
    this.#alarms.add(alarm);
    return { cancel: () => this.#alarms.delete(alarm) };
  }

  sleep(delayMs: number, signal?: AbortSignal): Promise<void> {
    return sleepUntil((ring) => this.after(delayMs, ring), signal);
  }

  /** Timers that have not rung. */
  get pending(): number {
    return this.#alarms.size;
  }

  /** Lets `durationMs` pass. After each ring, whatever it woke runs before the next one. */
  async advance(durationMs: number): Promise<void> {
    const endMs = this.#elapsedMs + durationMs;
    await turnOfEventLoop();
    for (let alarm = this.#next(endMs); alarm !== undefined; alarm = this.#next(endMs)) {
      this.#alarms.delete(alarm);
      this.#elapsedMs = Math.max(this.#elapsedMs, alarm.atMs);
      alarm.ring();
      await turnOfEventLoop();
    }
    this.#elapsedMs = endMs;
  }

  #next(endMs: number): Alarm | undefined {
    let next: Alarm | undefined;
    for (const alarm of this.#alarms) {
      if (alarm.atMs <= endMs && (next === undefined || alarm.atMs < next.atMs)) next = alarm;
    }
    return next;
  }
}
