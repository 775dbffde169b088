import type { Clock, Log } from '@millpool/host';
import type { Metadata } from '@millpool/metadata';
import { identityHash } from '@millpool/native';
import type { Engine } from '@millpool/native';

import { pickVictims } from './evict.ts';
import type { Tenant } from './evict.ts';

const lookEveryMs = 500;
/** Room kept on a device, so that a segment can always be begun. */
const spareBytes = 64 * 1024 ** 2;

/** Looks at the devices now and then, and gives up segments where one runs out of room. */
export class Eviction {
  readonly #engine: Engine;
  readonly #metadata: Metadata;
  readonly #log: Log;
  readonly #stop = new AbortController();
  readonly #running: Promise<void>;

  constructor(parts: { engine: Engine; metadata: Metadata; clock: Clock; log: Log }) {
    this.#engine = parts.engine;
    this.#metadata = parts.metadata;
    this.#log = parts.log;
    this.#running = this.#run(parts.clock);
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#running;
  }

  async #run(clock: Clock): Promise<void> {
    const { signal } = this.#stop;
    while (!signal.aborted) {
      await this.#look().catch((error: unknown) => this.#log.warn('eviction failed', { error: String(error) }));
      await clock.sleep(lookEveryMs, signal).catch(() => undefined);
    }
  }

  async #look(): Promise<void> {
    const devices = this.#engine.devices();
    for (const [device, { path, sizeBytes, usedBytes }] of devices.entries()) {
      const wanted = usedBytes + spareBytes - sizeBytes;
      if (wanted <= 0) continue;
      const facts = this.#engine
        .segments()
        .filter((segment) => segment.device === device)
        .map((segment) => ({ ...segment, identity: Buffer.from(segment.identity).toString('hex') }));
      const victims = pickVictims(facts, this.#tenants(facts), wanted);
      if (victims.length === 0) continue;
      const freed = await this.#engine.evict(Uint32Array.from(victims));
      this.#log.info('segments evicted', { device: path, segments: victims.length, bytes: freed.bytes });
    }
  }

  /** Attachments by the hash that their segments carry; two of one bucket are one tenant, with the milder policy. */
  #tenants(facts: readonly { readonly identity: string; readonly idleSeconds: number }[]): Map<string, Tenant> {
    const tenants = new Map<string, Tenant>();
    for (const { identity, policy } of this.#metadata.attachments()) {
      const name = identityHash(identity);
      const idle = facts.filter((segment) => segment.identity === name).map((segment) => segment.idleSeconds);
      const other = tenants.get(name);
      if (other !== undefined && other.policy !== 'stream') continue;
      tenants.set(name, { policy, idleSeconds: Math.min(...idle, Number.POSITIVE_INFINITY) });
    }
    return tenants;
  }
}
