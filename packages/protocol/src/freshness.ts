import type { Freshness } from './attachment.ts';
import { parseDurationMs } from './duration.ts';
import { MillpoolError } from './errors.ts';

/** `immutable`, `strict`, or `ttl=60s`; the inverse of `formatFreshness`. */
export function parseFreshness(text: string): Freshness {
  if (text === 'immutable' || text === 'strict') return { kind: text };
  if (text.startsWith('ttl=')) return { kind: 'ttl', seconds: parseDurationMs(text.slice('ttl='.length)) / 1_000 };
  throw new MillpoolError({
    code: 'invalid',
    message: `${JSON.stringify(text)} is not a freshness`,
    remedy: 'It is one of immutable, ttl=DURATION (as in ttl=60s) and strict.',
  });
}

export function formatFreshness(freshness: Freshness): string {
  return freshness.kind === 'ttl' ? `ttl=${freshness.seconds}s` : freshness.kind;
}
