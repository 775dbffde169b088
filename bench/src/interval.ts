export interface Interval {
  readonly median: number;
  readonly low: number;
  readonly high: number;
}

const confidence = 0.9;

/**
 * The median of independent ratios and an interval that holds the true one with at least 90 %: from the k-th lowest to
 * the k-th highest, which asks nothing of how they are distributed (of n coins, at most 5 % of throws show fewer than
 * k heads).
 */
export function medianInterval(ratios: readonly number[]): Interval {
  if (ratios.length === 0) throw new RangeError('no ratios');
  const sorted = [...ratios].sort((a, b) => a - b);
  const cut = cutFor(sorted.length);
  const at = (index: number): number => sorted[index] ?? Number.NaN;
  return { median: median(sorted), low: at(cut), high: at(sorted.length - 1 - cut) };
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const at = (index: number): number => sorted[index] ?? Number.NaN;
  const middle = (sorted.length - 1) / 2;
  return (at(Math.floor(middle)) + at(Math.ceil(middle))) / 2;
}

/** How many to leave out at each end: as many as leave the tails below it unlikely enough. */
function cutFor(count: number): number {
  let probability = 0.5 ** count;
  let tail = probability;
  for (let cut = 0; ; cut += 1) {
    probability = (probability * (count - cut)) / (cut + 1);
    tail += probability;
    if (tail > (1 - confidence) / 2) return cut;
  }
}
