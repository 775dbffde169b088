/** Numbers in [0, 1) that a seed repeats: Lehmer's generator with Park and Miller's second multiplier (CACM, 1993). */
export function randomOf(seed: number): () => number {
  let state = 1 + ((seed * 7_919) % 2_147_483_646);
  return () => (state = (state * 48_271) % 2_147_483_647) / 2_147_483_647;
}
