import { MillpoolError } from './errors.ts';

const unitBytes = {
  '': 1,
  B: 1,
  KB: 1e3,
  MB: 1e6,
  GB: 1e9,
  TB: 1e12,
  PB: 1e15,
  KiB: 2 ** 10,
  MiB: 2 ** 20,
  GiB: 2 ** 30,
  TiB: 2 ** 40,
  PiB: 2 ** 50,
} as const;

const binaryUnits = ['PiB', 'TiB', 'GiB', 'MiB', 'KiB'] as const;
const unitsByLowerCase = new Map(Object.entries(unitBytes).map(([unit, bytes]) => [unit.toLowerCase(), bytes]));

/** Room on a device: so many bytes, or a share of the device. */
export type Size =
  | { readonly kind: 'bytes'; readonly bytes: number }
  | { readonly kind: 'percent'; readonly percent: number };

/** `200GiB`, `1.5 TB`, `4096`: whole bytes. `invalid` for anything else. */
export function parseBytes(text: string): number {
  const match = /^(\d+(?:\.\d+)?)\s*([a-z]*)$/i.exec(text.trim());
  const unit = unitsByLowerCase.get(match?.[2]?.toLowerCase() ?? '');
  const bytes = Math.round(Number(match?.[1]) * (unit ?? Number.NaN));
  if (!Number.isSafeInteger(bytes)) throw badSize(text, 'Write a number and a unit, as in 512MiB or 200GiB.');
  return bytes;
}

/** `200MiB/s`, with or without the `/s`: bytes a second, at least 1. */
export function parseRate(text: string): number {
  const bytesPerSecond = parseBytes(text.trim().replace(/\/s$/, ''));
  if (bytesPerSecond < 1) throw badSize(text, 'A rate is at least 1B/s.');
  return bytesPerSecond;
}

/** As `parseBytes`, or a share such as `90%`, above 0 and up to 100. */
export function parseSize(text: string): Size {
  const percentText = /^(\d+(?:\.\d+)?)\s*%$/.exec(text.trim())?.[1];
  if (percentText === undefined) return { kind: 'bytes', bytes: parseBytes(text) };
  const percent = Number(percentText);
  if (percent <= 0 || percent > 100) throw badSize(text, 'A share is above 0% and at most 100%.');
  return { kind: 'percent', percent };
}

/** Exact where the bytes are a whole number of a binary unit, otherwise with one digit after the point. */
export function formatBytes(bytes: number): string {
  const unit = binaryUnits.find((candidate) => bytes >= unitBytes[candidate]);
  if (unit === undefined) return `${bytes}B`;
  const count = bytes / unitBytes[unit];
  return `${Number.isInteger(count) ? count : count.toFixed(1)}${unit}`;
}

export function formatSize(size: Size): string {
  return size.kind === 'percent' ? `${size.percent}%` : formatBytes(size.bytes);
}

function badSize(text: string, remedy: string): MillpoolError {
  return new MillpoolError({ code: 'invalid', message: `${JSON.stringify(text)} is not a size`, remedy });
}
