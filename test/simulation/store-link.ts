import type { Change, CoordStore, CoordSupports, KeyValue, Lease } from '@millpool/coordination';
import type { RangeReply, RangeRequest, Txn, TxnReply, WatchRequest } from '@millpool/coordination';
import type { Clock } from '@millpool/host';
import { MillpoolError } from '@millpool/protocol';

import type { NodeClock } from './node-clock.ts';
import type { Random } from './random.ts';

const patienceMs = 3_000;
const latestMs = 9_000;
const slowestMs = 80;

/** How often a call goes wrong on its way, each from 0 to 1. */
export interface Weather {
  lostRequest: number;
  lostReply: number;
  /** It is done when nobody waits for it any more. */
  lateRequest: number;
}

/**
 * A node's way to the coordination store: slow, and at times cut. A call whose request or reply is lost ends with
 * `timeout`, and in the second case was done; one that is late is done after that.
 */
export class StoreLink implements CoordStore {
  readonly supports: CoordSupports;
  readonly #store: CoordStore;
  readonly #clock: NodeClock;
  /** Goes on where the node stands still. */
  readonly #network: Clock;
  readonly #random: Random;
  readonly #weather: Weather;
  #cut = new AbortController();
  #isCut = false;

  constructor(store: CoordStore, of: { clock: NodeClock; network: Clock; random: Random; weather: Weather }) {
    this.#store = store;
    this.supports = store.supports;
    this.#clock = of.clock;
    this.#network = of.network;
    this.#random = of.random;
    this.#weather = of.weather;
  }

  cut(): void {
    this.#isCut = true;
    this.#cut.abort();
  }

  heal(): void {
    this.#isCut = false;
    this.#cut = new AbortController();
  }

  get(key: string): Promise<KeyValue | null> {
    return this.#ask(() => this.#store.get(key));
  }

  range(request: RangeRequest): Promise<RangeReply> {
    return this.#ask(() => this.#store.range(request));
  }

  txn(txn: Txn): Promise<TxnReply> {
    return this.#ask(() => this.#store.txn(txn));
  }

  async *watch(request: WatchRequest): AsyncIterable<Change> {
    if (this.#isCut) throw away();
    const signal = AbortSignal.any([request.signal, this.#cut.signal]);
    for await (const change of this.#store.watch({ ...request, signal })) {
      await this.#clock.sleep(this.#delay(), signal);
      yield change;
    }
  }

  grantLease(ttlSeconds: number): Promise<Lease> {
    return this.#ask(() => this.#store.grantLease(ttlSeconds));
  }

  keepLease(lease: number): Promise<Lease> {
    return this.#ask(() => this.#store.keepLease(lease));
  }

  revokeLease(lease: number): Promise<void> {
    return this.#ask(() => this.#store.revokeLease(lease));
  }

  async close(): Promise<void> {
    this.cut();
  }

  async #ask<T>(call: () => Promise<T>): Promise<T> {
    const { lostRequest, lostReply, lateRequest } = this.#weather;
    await this.#clock.sleep(this.#delay());
    if (this.#isCut || this.#random.chance(lostRequest)) return this.#late();
    if (this.#random.chance(lateRequest)) {
      const underWay = this.#network.sleep(this.#random.between(patienceMs, latestMs)).then(call);
      underWay.catch(() => undefined);
      return this.#late();
    }
    const settled = await call().then(
      (value) => ({ value }),
      (error: unknown) => ({ error }),
    );
    await this.#clock.sleep(this.#delay());
    if (this.#isCut || this.#random.chance(lostReply)) return this.#late();
    if ('error' in settled) throw settled.error;
    return settled.value;
  }

  async #late(): Promise<never> {
    await this.#clock.sleep(patienceMs);
    throw new MillpoolError({ code: 'timeout', message: 'waited 3s for the store', remedy: '' });
  }

  #delay(): number {
    return this.#random.between(0, slowestMs);
  }
}

function away(): MillpoolError {
  return new MillpoolError({ code: 'unreachable', message: 'the store is away', remedy: '' });
}
