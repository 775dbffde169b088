export const tiers = ['fast', 'slow'] as const;
/** What is read is written to fast devices; slow ones take what those give up. */
export type Tier = (typeof tiers)[number];
