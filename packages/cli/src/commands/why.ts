import type { Command } from 'commander';
import { etagOf, formatBytes, formatFreshness, isWeak } from '@millpool/protocol';
import type { WhyReply } from '@millpool/protocol';

import type { CommandContext } from '../command-context.ts';
import { printable, table } from '../output.ts';

const segmentsShown = 8;
const keptTexts = {
  yes: ', and kept',
  policy: ', and not kept (policy)',
  full: ', and not kept (no room)',
  'table-full': ', and not kept (the key table is full)',
} as const;

export function whyCommand(program: Command, context: CommandContext): void {
  program
    .command('why')
    .description('Where the bytes of a path are, why it is cached or not, and what a read would cost now')
    .argument('<path>', 'absolute path in the namespace')
    .addHelpText('after', '\nThe source is asked once, for what it has at this path now.')
    .action((path: string) =>
      context.run(async ({ session, output, signal }) => {
        const why = await session.call('why', { path }, { signal });
        output.result(json(why), describe(why));
      }),
    );
}

function json({ entry, attachment, ...why }: WhyReply): object {
  const { sizeBytes, mtimeMs, tag, from } = entry;
  const identity = why.type === 'directory' ? null : isWeak(tag) ? 'weak' : 'strong';
  return {
    ...why,
    attachment: attachment && { ...attachment, freshness: formatFreshness(attachment.freshness) },
    entry: {
      sizeBytes,
      mtime: mtimeMs === null ? null : new Date(mtimeMs).toISOString(),
      etag: etagOf(tag),
      identity,
      from,
    },
  };
}

function describe(why: WhyReply): string {
  const rows = [
    ['', why.sentence],
    ...(why.remedy === '' ? [] : [['', why.remedy]]),
    ...fileRows(why),
    ...ownerRows(why),
    ...sourceRows(why),
  ];
  return `${printable(why.path)}\n${table(rows.map(([name = '', text = '']) => [`  ${name}`, text]))}`;
}

function fileRows(why: WhyReply): string[][] {
  if (why.type === 'directory') return [];
  const { residency, places, entry, missing, cost } = why;
  const here = places
    .slice(0, segmentsShown)
    .map(({ device, tier, segment, records, bytes, pageCacheBytes }) => [
      '',
      `${device}${tier === 'slow' ? ' (slow tier)' : ''}, segment ${segment}: ${formatBytes(bytes)} ` +
        `in ${records} records, ` +
        `${formatBytes(pageCacheBytes)} of it in memory`,
    ]);
  if (places.length > segmentsShown) here.push(['', `… and ${places.length - segmentsShown} segments more`]);
  return [
    ['here', `${formatBytes(residency.residentBytes)} of ${formatBytes(entry.sizeBytes)}${packedText(residency)}`],
    ...here,
    ...missing.map(({ reason, bytes }) => ['not here', `${formatBytes(bytes)}: ${reason}`]),
    ['a read now', costText(why)],
    ...(cost.error === null ? [] : [['', `it would fail: ${cost.error.message}`]]),
  ];
}

function packedText({ residentBytes, storedBytes }: WhyReply['residency']): string {
  return storedBytes < residentBytes ? `, compressed to ${formatBytes(storedBytes)}` : '';
}

function costText({ cost, source }: WhyReply): string {
  const parts = [
    ...(cost.pageCacheBytes > 0 ? [`${formatBytes(cost.pageCacheBytes)} from memory`] : []),
    ...(cost.deviceBytes > 0 ? [`${formatBytes(cost.deviceBytes)} from the device`] : []),
    ...(cost.gets > 0 ? [`${cost.gets} GETs for ${formatBytes(cost.sourceBytes)}${meanText(source)}`] : []),
  ];
  return parts.length === 0 ? 'nothing to read' : parts.join(' + ') + (cost.gets > 0 ? keptTexts[cost.kept] : '');
}

function meanText(source: WhyReply['source']): string {
  const mean = source?.meanFetchSeconds ?? null;
  return mean === null ? '' : ` (of late ${(1000 * mean).toFixed(1)} ms each)`;
}

function ownerRows({ owner, attachment, entry, type }: WhyReply): string[][] {
  if (owner === null || attachment === null) return [];
  const { node, directory, shard, partition, partitions, listing, listingAgeSeconds, listingFresh } = owner;
  const freshness = formatFreshness(attachment.freshness);
  const age = listingAgeSeconds === null ? listing : `${listingAgeSeconds.toFixed(1)} s old`;
  const weak = type === 'file' && isWeak(entry.tag) ? '; no etag: versions are told apart by size and time' : '';
  return [
    ['entry', `shard ${shard}, partition ${partition} of ${partitions} of ${printable(directory)}, on ${node}`],
    ['', `listing ${age}${listing === 'whole' ? (listingFresh ? ', fresh' : ', no longer fresh') : ''} (${freshness})`],
    [
      'attached',
      `${printable(attachment.source)} at ${printable(attachment.path)}, policy ${attachment.policy}${weak}`,
    ],
  ];
}

function sourceRows({ source }: WhyReply): string[][] {
  if (source === null) return [];
  const { now, error, lastError, fetches, errors, hedges } = source;
  const state = {
    same: 'has this version',
    changed: 'has another version',
    gone: 'no longer has it',
    unknown: 'not known',
  };
  return [
    ['source now', error === null ? state[now] : `${state[now]}: ${error.message}`],
    ['', `${fetches} fetches, ${errors} failed since it was attached`],
    ...(hedges.sent === 0 ? [] : [['', `${hedges.sent} GETs sent twice for being slow, ${hedges.won} to advantage`]]),
    ...(lastError === null ? [] : [['last error', `${lastError.secondsAgo.toFixed(0)} s ago: ${lastError.message}`]]),
  ];
}
