export const tiers = ['fast', 'slow'] as const;
/** What is fetched is written to fast devices while those have room; slow ones take what they give up, and the rest. */
export type Tier = (typeof tiers)[number];
