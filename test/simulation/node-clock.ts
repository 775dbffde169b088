import { sleepUntil } from '@millpool/host';
import type { Clock, Timer } from '@millpool/host';

/**
 * The clock of one simulated process, which runs a little fast or slow. A process that is frozen sees its timers ring
 * when it goes on; one that was killed sees nothing ever again.
 */
export class NodeClock implements Clock {
  readonly #world: Clock;
  readonly #rate: number;
  #state: 'running' | 'frozen' | 'dead' = 'running';
  #held: (() => void)[] = [];

  constructor(world: Clock, rate: number) {
    this.#world = world;
    this.#rate = rate;
  }

  get isRunning(): boolean {
    return this.#state === 'running';
  }

  nowMs(): number {
    return this.#world.nowMs();
  }

  monotonicMs(): number {
    return this.#world.monotonicMs() * this.#rate;
  }

  bootMs(): number {
    return this.monotonicMs();
  }

  after(delayMs: number, ring: () => void): Timer {
    let isCancelled = false;
    const timer = this.#world.after(delayMs / this.#rate, () => this.#run(() => isCancelled || ring()));
    return {
      cancel() {
        isCancelled = true;
        timer.cancel();
      },
    };
  }

  sleep(delayMs: number, signal?: AbortSignal): Promise<void> {
    return sleepUntil((ring) => this.after(delayMs, ring), signal);
  }

  freeze(): void {
    if (this.#state === 'running') this.#state = 'frozen';
  }

  thaw(): void {
    if (this.#state !== 'frozen') return;
    this.#state = 'running';
    for (const run of this.#held.splice(0)) run();
  }

  kill(): void {
    this.#state = 'dead';
    this.#held = [];
  }

  #run(work: () => void): void {
    if (this.#state === 'running') work();
    if (this.#state === 'frozen') this.#held.push(work);
  }
}
