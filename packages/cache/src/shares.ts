/** What somebody brings when the cache is dealt. */
export interface Claim {
  readonly identity: string;
  /** Bytes read a second; null: not known yet. */
  readonly bytesPerSecond: number | null;
  /** All that it could use; `Infinity` where nobody knows. */
  readonly needBytes: number;
}

/** Whoever is dealt to counts at least this much of the one who reads most: a pause is no end. */
const leastWeight = 0.1;

/**
 * Deals the cache by bytes read a second, nobody more than it needs; what one does not need is dealt among the others.
 * Null where all have what they need. A newcomer whose rate is not known yet counts as much as the others on average.
 */
export function dealShares(capacityBytes: number, claims: readonly Claim[]): ReadonlyMap<string, number> | null {
  const needed = claims.reduce((sum, { needBytes }) => sum + needBytes, 0);
  if (needed <= capacityBytes) return null;
  const shares = new Map<string, number>();
  let left = weighed(claims);
  let leftBytes = capacityBytes;
  for (;;) {
    const whole = left.reduce((sum, { weight }) => sum + weight, 0);
    const share = (weight: number): number => (leftBytes * weight) / whole;
    const content = left.filter(({ claim, weight }) => claim.needBytes <= share(weight));
    if (content.length === 0) {
      for (const { claim, weight } of left) shares.set(claim.identity, share(weight));
      return shares;
    }
    for (const { claim } of content) {
      shares.set(claim.identity, claim.needBytes);
      leftBytes -= claim.needBytes;
    }
    left = left.filter((one) => !content.includes(one));
  }
}

function weighed(claims: readonly Claim[]): { readonly claim: Claim; readonly weight: number }[] {
  const known = claims.flatMap(({ bytesPerSecond }) => (bytesPerSecond === null ? [] : [bytesPerSecond]));
  const average = known.length === 0 ? 1 : known.reduce((sum, rate) => sum + rate, 0) / known.length;
  const most = Math.max(average, ...known);
  const floor = most === 0 ? 1 : most * leastWeight;
  return claims.map((claim) => ({ claim, weight: Math.max(floor, claim.bytesPerSecond ?? average) }));
}
