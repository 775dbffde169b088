/**
 * One name of a path, as people see it, and the bytes that the source knows. Legible where it can be: a name that is
 * valid UTF-8 stands for itself, save for the few texts that a path cannot hold. Every byte string has exactly one
 * name, and `bytesOfName(nameOfBytes(bytes))` gives it back:
 *
 * - a byte that is not part of valid UTF-8 is `%HH` (upper case, so always `%80` or more);
 * - `/` inside a name is `%2F`; a whole name `.` or `..` is `%2E` or `%2E%2E`;
 * - a literal `%` stands for itself unless what follows would make it one of these; then it is `%25`.
 */
const escapes = /%(25|2E|2F|[89A-F][0-9A-F])/g;
const literalPercents = /%(?=25|2E|2F|[89A-F][0-9A-F])/g;

const strictDecoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
const encoder = new TextEncoder();

export function nameOfBytes(bytes: Uint8Array): string {
  const text = validText(bytes);
  const name = text === null ? nameOfBrokenText(bytes) : escapeText(text);
  if (name === '.') return '%2E';
  if (name === '..') return '%2E%2E';
  return name;
}

export function bytesOfName(name: string): Uint8Array {
  if (!name.includes('%')) return encoder.encode(name);
  const parts: Uint8Array[] = [];
  let end = 0;
  for (const escape of name.matchAll(escapes)) {
    parts.push(encoder.encode(name.slice(end, escape.index)), Uint8Array.of(Number.parseInt(escape[1] ?? '', 16)));
    end = escape.index + escape[0].length;
  }
  parts.push(encoder.encode(name.slice(end)));
  return concatenate(parts);
}

function validText(bytes: Uint8Array): string | null {
  try {
    return strictDecoder.decode(bytes);
  } catch {
    return null;
  }
}

function escapeText(text: string): string {
  return text.replace(literalPercents, '%25').replaceAll('/', '%2F');
}

/** The longest valid runs as text, each byte between them by its number. */
function nameOfBrokenText(bytes: Uint8Array): string {
  let name = '';
  let runStart = 0;
  let at = 0;
  while (at < bytes.length) {
    const length = sequenceLength(bytes, at);
    if (length > 0) {
      at += length;
      continue;
    }
    name += escapeText(strictDecoder.decode(bytes.subarray(runStart, at)));
    name += `%${byteAt(bytes, at).toString(16).toUpperCase()}`;
    at += 1;
    runStart = at;
  }
  return name + escapeText(strictDecoder.decode(bytes.subarray(runStart)));
}

/** Length of the well-formed UTF-8 sequence at `at`, or 0 (The Unicode Standard, table 3-7). */
function sequenceLength(bytes: Uint8Array, at: number): number {
  const lead = byteAt(bytes, at);
  if (lead < 0x80) return 1;
  if (lead < 0xc2 || lead > 0xf4) return 0;
  const second = byteAt(bytes, at + 1);
  const lowest = lead === 0xe0 ? 0xa0 : lead === 0xf0 ? 0x90 : 0x80;
  const highest = lead === 0xed ? 0x9f : lead === 0xf4 ? 0x8f : 0xbf;
  if (second < lowest || second > highest) return 0;
  if (lead < 0xe0) return 2;
  if (!isContinuation(bytes, at + 2)) return 0;
  if (lead < 0xf0) return 3;
  return isContinuation(bytes, at + 3) ? 4 : 0;
}

function isContinuation(bytes: Uint8Array, at: number): boolean {
  return (byteAt(bytes, at) & 0xc0) === 0x80;
}

/** 0 beyond the end, which no multi-byte sequence may contain. */
function byteAt(bytes: Uint8Array, at: number): number {
  return bytes[at] ?? 0;
}

function concatenate(parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((length, part) => length + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
