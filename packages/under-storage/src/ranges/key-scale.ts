import { Buffer } from 'node:buffer';

const digits = span('0', '9');
const lower = span('a', 'z');
const upper = span('A', 'Z');
const lowerHex = span('a', 'f');
const upperHex = span('A', 'F');
/** Places behind the first one in which two keys differ that still tell how far they are apart. */
const placesBehind = 12;
const placesMax = 256;
/** When a place has had so many characters, those behind it have had all that they can have. */
const manySeen = 4;

/**
 * Keys as numbers, so that one can be guessed which lies so and so many keys behind another. Learned from keys that
 * were seen: at each place of a key stand the characters that stood there and, until so much was seen that others would
 * have been, those of their kind (all ten digits where there was one). A guess is good where keys are counted or
 * hashed, and whatever it is worth, it is a key.
 */
export class KeyScale {
  /** By place: the code points that were seen there. */
  readonly #seen: Set<number>[] = [];

  learn(key: Uint8Array): void {
    const points = pointsOf(key);
    for (let place = 0; place < points.length && place < placesMax; place += 1) {
      const seen = this.#seen[place];
      if (seen === undefined) this.#seen.push(new Set([points[place] as number]));
      else seen.add(points[place] as number);
    }
  }

  /**
   * A key that lies as far behind `from` as `times` the way from `one` to `other`; null where none can be told, as
   * beyond all that keys like the known ones can be.
   */
  ahead(from: Uint8Array, way: { one: Uint8Array; other: Uint8Array; times: number }): Uint8Array | null {
    const [one, other] = [pointsOf(way.one), pointsOf(way.other)];
    const seen = this.#seen.slice(0, Math.min(placesMax, firstDifference(one, other) + placesBehind));
    // Hashes whose first digits were never a letter yet.
    const letters = seen.filter((points) => digits.some((digit) => points.has(digit))).flatMap(lettersOf);
    for (const more of letters.length === 0 ? [[]] : [[], letters]) {
      const alphabets = alphabetsOf(seen, more);
      const distance = valueOf(other, alphabets) - valueOf(one, alphabets);
      // In thousandths, since a step may be less than the whole way.
      const step = (distance * BigInt(Math.round(way.times * 1_000))) / 1_000n;
      const key = step <= 0n ? null : keyOf(valueOf(pointsOf(from), alphabets) + step, alphabets);
      if (key !== null && Buffer.compare(key, from) > 0) return key;
    }
    return null;
  }
}

/** What may stand in each place; of places that had digits, `more` too, while not all has been seen. */
function alphabetsOf(seen: readonly ReadonlySet<number>[], more: readonly number[]): readonly number[][] {
  let hasVaried = false;
  return seen.map((points) => {
    const hasDigits = digits.some((digit) => points.has(digit));
    const alphabet = hasVaried ? inOrder(points) : alphabetOf(new Set([...points, ...(hasDigits ? more : [])]));
    hasVaried ||= points.size >= manySeen;
    return alphabet;
  });
}

function lettersOf(points: ReadonlySet<number>): number[] {
  return [...lower, ...upper].filter((letter) => points.has(letter));
}

/** What may stand in a place of which not all has been seen. */
function alphabetOf(seen: ReadonlySet<number>): number[] {
  const all = new Set(seen);
  const hasDigits = digits.some((digit) => seen.has(digit));
  if (hasDigits) for (const digit of digits) all.add(digit);
  for (const [letters, hex] of [
    [lower, lowerHex],
    [upper, upperHex],
  ] as const) {
    const used = letters.filter((letter) => seen.has(letter));
    const isHex = hasDigits && used.every((letter) => hex.includes(letter));
    if (used.length > 0) for (const letter of isHex ? hex : letters) all.add(letter);
  }
  return inOrder(all);
}

function inOrder(points: ReadonlySet<number>): number[] {
  return [...points].sort((left, right) => left - right);
}

function valueOf(points: readonly number[], alphabets: readonly number[][]): bigint {
  let value = 0n;
  alphabets.forEach((alphabet, place) => {
    const point = points[place];
    const before = point === undefined ? 0 : alphabet.filter((known) => known < point).length;
    value = value * BigInt(alphabet.length) + BigInt(Math.min(before, alphabet.length - 1));
  });
  return value;
}

function keyOf(value: bigint, alphabets: readonly number[][]): Uint8Array | null {
  const points: number[] = [];
  let left = value;
  for (const alphabet of alphabets.toReversed()) {
    const size = BigInt(alphabet.length);
    points.push(alphabet[Number(left % size)] as number);
    left /= size;
  }
  return left === 0n ? Buffer.from(String.fromCodePoint(...points.reverse())) : null;
}

function pointsOf(key: Uint8Array): number[] {
  return Array.from(Buffer.from(key).toString(), (character) => character.codePointAt(0) as number);
}

function firstDifference(one: readonly number[], other: readonly number[]): number {
  const at = one.findIndex((point, place) => point !== other[place]);
  return at === -1 ? one.length : at;
}

function span(first: string, last: string): number[] {
  const from = first.charCodeAt(0);
  return Array.from({ length: last.charCodeAt(0) - from + 1 }, (_, at) => from + at);
}
