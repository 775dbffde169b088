import { formatBytes, formatFreshness } from '@millpool/protocol';
import type { WhyMissing, WhyReason, WhyReply } from '@millpool/protocol';

export type WhyVerdict = Pick<WhyReply, 'reason' | 'sentence' | 'remedy'>;
export type WhyFindings = Omit<WhyReply, keyof WhyVerdict>;

/** The one reason that explains most, as a sentence that is true of this path now. */
export function verdictOf(found: WhyFindings): WhyVerdict {
  const { type, entry, missing, source, owner } = found;
  if (type === 'directory') {
    const remedy = `\`millpool du --cached ${found.path}\` sums up what is cached of it.`;
    return { reason: 'directory', sentence: 'It is a directory, and has no bytes of its own.', remedy };
  }
  if (source?.now === 'changed' || source?.now === 'gone') return changed(found, source.now);
  if (entry.from === 'source' && owner?.listingFresh === true) return unlisted(found);
  if (entry.sizeBytes === 0) return { reason: 'empty', sentence: 'It is empty: there is nothing to keep.', remedy: '' };
  const [most] = missing;
  if (most === undefined) {
    const sentence = `All its ${formatBytes(entry.sizeBytes)} are in segments here${slowPart(found)}.`;
    return { reason: 'cached', sentence, remedy: '' };
  }
  const { sentence, remedy } = whyNot(most, found);
  return { reason: most.reason, sentence: `${partOf(most, found)}${sentence}`, remedy };
}

function slowPart({ places, entry }: WhyFindings): string {
  const slowBytes = places.reduce((sum, { tier, bytes }) => sum + (tier === 'slow' ? bytes : 0), 0);
  if (slowBytes === 0) return '';
  return `, ${slowBytes === entry.sizeBytes ? 'all' : formatBytes(slowBytes)} of it on the slow tier`;
}

/** Empty where one reason holds for all of the file. */
function partOf({ bytes }: WhyMissing, { entry }: WhyFindings): string {
  return bytes === entry.sizeBytes ? '' : `Of its ${formatBytes(entry.sizeBytes)}, ${formatBytes(bytes)}: `;
}

function changed({ owner, attachment, residency, entry }: WhyFindings, now: 'changed' | 'gone'): WhyVerdict {
  const age = secondsText(owner?.listingAgeSeconds ?? 0);
  const what = now === 'gone' ? 'no longer has it' : 'has another version of it now';
  const here =
    residency.residentBytes === 0
      ? 'Nothing of the version that was listed is here.'
      : `${formatBytes(residency.residentBytes)} of ${formatBytes(entry.sizeBytes)} of the version listed are here.`;
  const freshness = attachment === null ? '' : formatFreshness(attachment.freshness);
  return {
    reason: 'changed',
    sentence: `The source ${what}, since the listing of ${age} ago. ${here}`,
    remedy: `It is seen when the listing is renewed (${freshness}); a read of what is not here sees it at once.`,
  };
}

function unlisted({ owner, attachment }: WhyFindings): WhyVerdict {
  const age = secondsText(owner?.listingAgeSeconds ?? 0);
  return {
    reason: 'unlisted',
    sentence: `The source has it, and the listing of ${age} ago does not: until it is renewed there is no such path.`,
    remedy:
      attachment?.freshness.kind === 'immutable'
        ? 'Its attachment is immutable, so that is never: detach it, and attach it as ttl=DURATION.'
        : 'Wait for the listing to be renewed, or attach the source with a shorter freshness.',
  };
}

const loadIt = '`millpool load PATH --wait` brings it here.';

function whyNot({ reason, secondsAgo }: WhyMissing, found: WhyFindings): { sentence: string; remedy: string } {
  const ago = secondsAgo === null ? '' : `, ${secondsText(secondsAgo)} ago`;
  const load = loadIt.replace('PATH', found.path);
  switch (reason) {
    case 'under-way':
      return { sentence: 'It is being fetched, or on its way into a segment.', remedy: 'Look again.' };
    case 'never-read':
      return { sentence: 'This version of it has not been read.', remedy: load };
    case 'forgotten':
      return { sentence: 'This version of it has not been read, as far as is remembered.', remedy: load };
    case 'policy':
      return {
        sentence: 'Its attachment has the policy stream, which keeps nothing.',
        remedy: 'Attach it with another policy (`millpool attach --policy`).',
      };
    case 'full':
      return {
        sentence: `It was read when no device had room${ago}.`,
        remedy: 'Free something with `millpool free`, or give the daemon more room with --size or --data.',
      };
    case 'table-full':
      return {
        sentence: `It was read when the key table was full: it fills its part of the memory budget${ago}.`,
        remedy: 'Raise MILLPOOL_BUDGET, or free something with `millpool free`.',
      };
    case 'share':
      return {
        sentence: `It was read when its attachment had its share of the cache already${ago}.`,
        remedy: 'Give the daemon more room with --size or --data; shares follow what is read.',
      };
    case 'order':
      return {
        sentence: `It was read${ago}, and will be read again later than all that is here of its attachment.`,
        remedy: 'It is no fault: the policy order keeps what is read sooner. More room keeps more (--size, --data).',
      };
    case 'young':
      return {
        sentence: `It was read within 2 s of being written${ago}: it could have changed again without a trace.`,
        remedy: 'The next read keeps it.',
      };
    case 'freed':
      return { sentence: `It was freed${ago}.`, remedy: load };
    case 'evicted':
      return {
        sentence: `Its segment was given up to make room${ago}.`,
        remedy: 'Give the cache more room, or the attachment the policy keep.',
      };
    case 'damaged':
      return {
        sentence: `Its stored bytes did not match their checksum, and were forgotten${ago}.`,
        remedy: `The next read fetches it again. If it comes back, suspect the device.`,
      };
    case 'failed':
      return failed(found, ago);
    default:
      return { sentence: `It is ${reason satisfies WhyReason}.`, remedy: '' };
  }
}

function failed({ source }: WhyFindings, ago: string): { sentence: string; remedy: string } {
  const last = source?.lastError;
  const what = last === null || last === undefined ? '' : ` The source's last error: ${last.message}`;
  return { sentence: `It could not be fetched${ago}.${what}`, remedy: 'See `millpool status` for the source.' };
}

/** Rough: a person's sense of how long ago. */
function secondsText(seconds: number): string {
  if (seconds < 120) return `${Math.round(seconds)} s`;
  return seconds < 7_200 ? `${Math.round(seconds / 60)} min` : `${Math.round(seconds / 3_600)} h`;
}
