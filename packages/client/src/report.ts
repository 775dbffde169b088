import { formatBytes, waitCauses } from '@millpool/protocol';
import type { SecondsByCause, SourceHedges } from '@millpool/protocol';

/** Samples, and their bytes, by where a loop got them. */
export interface Tier {
  readonly samples: number;
  readonly bytes: number;
}

export interface Tiers {
  /** Copied from mapped segments that were in memory. */
  readonly memory: Tier;
  /** In segments, but read from a device, or sent by the daemon where this process maps nothing. */
  readonly device: Tier;
  /** Fetched from the under-storage, ahead of the loop or while it waited. */
  readonly source: Tier;
}

/** Samples a second that one stage alone would reach; null where nothing was measured. */
export interface Ceilings {
  /** Fetches, while some were under way. */
  readonly source: number | null;
  /** Reads of a batch past the page cache, measured now and then with a batch that is thrown away. */
  readonly device: number | null;
  /** Copies out of memory by one thread, measured likewise; at least what the loop got. */
  readonly gather: number | null;
  /** Of transforms in this package there are none. */
  readonly transform: number | null;
  /** The loop's own work, on batches that were ready when it asked. */
  readonly step: number | null;
}

/** How fast a loop went and what it waited for. `JSON.stringify` gives all of it, `String` a table. */
export class Report {
  readonly samples: number;
  readonly batches: number;
  readonly skipped: number;
  readonly bytes: number;
  /** Fetched from the under-storage, ahead of the loop or while it waited; the rest of `bytes` is `cacheBytes`. */
  readonly sourceBytes: number;
  readonly cacheBytes: number;
  /** Samples that needed no GET ÷ samples. */
  readonly hitRatio: number;
  /** Samples that were fetched ahead of the loop, so that it found them in segments. */
  readonly prefetchedSamples: number;
  /** From the first request for a batch to the last delivery. */
  readonly seconds: number;
  readonly samplesPerSecond: number;
  readonly bytesPerSecond: number;
  /** What the loop waited for; what is left of `seconds` is its own work. */
  readonly waitSeconds: SecondsByCause;
  readonly tiers: Tiers;
  readonly ceilings: Ceilings;
  /**
   * Of the GETs to the dataset's source by this node, whoever asked, those sent a second time for being slow, and how
   * often the second was faster; null where nothing was asked yet.
   */
  readonly hedges: SourceHedges | null;
  /** One sentence: what would make the loop faster. */
  readonly advice: string;

  /** For `Loader.report`. */
  constructor(numbers: Omit<Report, 'toString'>) {
    this.samples = numbers.samples;
    this.batches = numbers.batches;
    this.skipped = numbers.skipped;
    this.bytes = numbers.bytes;
    this.sourceBytes = numbers.sourceBytes;
    this.cacheBytes = numbers.cacheBytes;
    this.hitRatio = numbers.hitRatio;
    this.prefetchedSamples = numbers.prefetchedSamples;
    this.seconds = numbers.seconds;
    this.samplesPerSecond = numbers.samplesPerSecond;
    this.bytesPerSecond = numbers.bytesPerSecond;
    this.waitSeconds = numbers.waitSeconds;
    this.tiers = numbers.tiers;
    this.ceilings = numbers.ceilings;
    this.hedges = numbers.hedges;
    this.advice = numbers.advice;
  }

  /** A table of a dozen lines, the advice last. */
  toString(): string {
    const { samples, bytes, seconds, waitSeconds, tiers, ceilings, hedges } = this;
    const share = (part: number, whole: number): string => `${(whole > 0 ? (100 * part) / whole : 0).toFixed(1)} %`;
    const waited = waitCauses.filter((cause) => waitSeconds[cause] > 0);
    const own = Math.max(0, seconds - waitCauses.reduce((sum, cause) => sum + waitSeconds[cause], 0));
    const rows = [
      ['read', `${samples} samples, ${formatBytes(bytes)}, in ${this.batches} batches and ${seconds.toFixed(2)} s`],
      ['rate', `${perSecond(this.samplesPerSecond)}, ${formatBytes(Math.round(this.bytesPerSecond))}/s`],
      ...waited
        .toSorted((a, b) => waitSeconds[b] - waitSeconds[a])
        .map((cause) => [`wait ${cause}`, `${waitSeconds[cause].toFixed(2)} s`, share(waitSeconds[cause], seconds)]),
      ['own work', `${own.toFixed(2)} s`, share(own, seconds)],
      ...(['memory', 'device', 'source'] as const).map((tier) => {
        const from = tiers[tier];
        return [`from ${tier}`, `${from.samples} samples, ${formatBytes(from.bytes)}`, share(from.samples, samples)];
      }),
      hedges === null || hedges.sent === 0
        ? []
        : ['sent twice', `${hedges.sent} slow GETs of this node, ${hedges.won} to advantage`],
      ...(['source', 'device', 'gather', 'transform', 'step'] as const).map((stage) => {
        const ceiling = ceilings[stage];
        return ceiling === null ? [] : [`${stage} alone`, perSecond(ceiling)];
      }),
    ].filter((row) => row.length > 0);
    const lines = rows.map(([name = '', value = '', part]) =>
      part === undefined ? `${name.padEnd(16)}${value}` : `${name.padEnd(16)}${value.padEnd(32)}${part.padStart(7)}`,
    );
    return [...lines, this.advice].join('\n');
  }
}

function perSecond(rate: number): string {
  return `${rate < 100 ? rate.toFixed(1) : Math.round(rate)} samples/s`;
}
