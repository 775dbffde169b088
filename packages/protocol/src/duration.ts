import { MillpoolError } from './errors.ts';

const unitMs = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;
type Unit = keyof typeof unitMs;
const unitsLargestFirst = ['d', 'h', 'm', 's', 'ms'] as const satisfies readonly Unit[];

/** `250ms`, `60s`, `1.5m`, `2h`, `1d`, in whole milliseconds; a number alone is `invalid`, as its unit is unknown. */
export function parseDurationMs(text: string): number {
  const match = /^(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)$/.exec(text.trim());
  const durationMs = Math.round(Number(match?.[1]) * unitMs[(match?.[2] ?? 'ms') as Unit]);
  if (!Number.isSafeInteger(durationMs)) {
    throw new MillpoolError({
      code: 'invalid',
      message: `${JSON.stringify(text)} is not a duration`,
      remedy: 'Write a number and a unit: ms, s, m, h or d, as in 60s.',
    });
  }
  return durationMs;
}

/** In the largest unit that leaves a whole number, or rounded to 0.1 s: 60,000 is `1m`, 1,234 is `1.2s`. */
export function formatDurationMs(durationMs: number): string {
  if (durationMs > 1_000 && durationMs % 1_000 !== 0) return `${(durationMs / 1_000).toFixed(1)}s`;
  const fits = (unit: Unit): boolean => durationMs >= unitMs[unit] && durationMs % unitMs[unit] === 0;
  const unit = unitsLargestFirst.find(fits);
  return unit === undefined ? `${Math.round(durationMs)}ms` : `${durationMs / unitMs[unit]}${unit}`;
}
