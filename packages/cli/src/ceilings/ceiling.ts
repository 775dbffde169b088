import { formatBytes } from '@millpool/protocol';

/** What one stage reaches when nothing else is asked of it; or why that was not measured. */
export interface Ceiling {
  readonly stage: 'memory' | 'device' | 'source' | 'loader';
  /** What was done, and with what, in a few words. */
  readonly what: string;
  readonly bytesPerSecond: number | null;
  /** Reads of a device, samples of a source or loader; null where bytes alone count. */
  readonly perSecond: number | null;
  /** What should be known of it; empty where nothing should. */
  readonly note: string;
}

/** Nothing was measured: `note` says why. */
export function notMeasured(stage: Ceiling['stage'], what: string, note: string): Ceiling {
  return { stage, what, bytesPerSecond: null, perSecond: null, note };
}

export function formatCeiling({ stage, what, bytesPerSecond, perSecond, note }: Ceiling): string {
  const counted = stage === 'device' ? 'reads/s' : 'samples/s';
  const rate = bytesPerSecond === null ? 'not measured' : `${formatBytes(bytesPerSecond)}/s`;
  const each = perSecond === null ? '' : `${Math.round(perSecond).toLocaleString('en')} ${counted}`;
  return [stage.padEnd(6), what.padEnd(48), rate.padStart(12), each, note].join('  ').trimEnd();
}
