import type { Command } from 'commander';
import { formatBytes, waitCauses } from '@millpool/protocol';
import type { AttachmentStatus, CacheStatus, HolderStatus, Status } from '@millpool/protocol';

import type { CommandContext } from '../command-context.ts';
import { table } from '../output.ts';

export function statusCommand(program: Command, context: CommandContext): void {
  program
    .command('status')
    .description('One look at the daemon of this node')
    .action(() =>
      context.run(async ({ session, output, signal }) => {
        const status = await session.call('status', {}, { signal });
        output.result(status, describe(status));
      }),
    );
}

/** Nothing where nothing was copied. */
function copiedLines({ copied }: CacheStatus): readonly string[] {
  if (copied.segments === 0) return [];
  const [bytes, freed] = [formatBytes(copied.bytes), formatBytes(copied.freedBytes)];
  return [`  ${bytes} copied out of ${copied.segments} segments, which freed ${freed}: room was wanted`];
}

function describe(status: Status): string {
  const { cache } = status;
  const lines = [
    `millpool ${status.version}, pid ${status.pid}, up ${Math.round(status.uptimeSeconds)} s, ` +
      `memory ${formatBytes(status.rssBytes)} (its budget, without pages of files: ${formatBytes(status.budgetBytes)})`,
    `cache ${cache.state}${cache.why === '' ? '' : `: ${cache.why}`}`,
    `  ${cache.records} records, ${formatBytes(cache.bytes)}${packed(cache.bytes, cache.rawBytes)}; ` +
      `${(100 * cache.hitRatio).toFixed(1)} % of samples ` +
      `needed no GET; ${formatBytes(cache.sourceBytes)} fetched`,
    `  ${cache.hedges.sent} of ${cache.gets} GETs sent twice for being slow, ${cache.hedges.won} times to advantage`,
    `  ${cache.retries} GETs sent again, ${cache.sourceErrors} fetches failed; ` +
      `${cache.damagedRecords} records found damaged`,
    ...copiedLines(cache),
    `  loops waited: ${waitsOf(status)}`,
    '',
    table([
      ['device', 'tier', 'used', 'size', 'state'],
      ...status.devices.map((d) => [
        d.path,
        d.tier,
        formatBytes(d.usedBytes),
        formatBytes(d.sizeBytes),
        d.state === 'failed' ? `failed: ${d.reason}` : d.state,
      ]),
    ]),
  ];
  if (status.holders.length > 0) {
    const who = ({ pid, program, isStopped }: HolderStatus): string =>
      pid === null ? 'a process that could not be found' : `pid ${pid}${isStopped ? ' (stopped)' : ''} ${program}`;
    const rows = status.holders.map((h) => [formatBytes(h.bytes), `${Math.round(h.seconds)} s`, who(h)]);
    lines.push('', table([['held', 'for', 'given up, and still mapped by'], ...rows]));
  }
  if (status.attachments.length > 0) {
    const remark = ({ error, identityWeak }: AttachmentStatus): string =>
      error !== null ? `away: ${error.message}` : identityWeak ? 'identity weak' : '';
    const cached = ({ cachedBytes, rawBytes }: AttachmentStatus): string =>
      formatBytes(cachedBytes) + packed(cachedBytes, rawBytes);
    const share = ({ shareBytes }: AttachmentStatus): string => (shareBytes === null ? '' : formatBytes(shareBytes));
    lines.push(
      '',
      table([
        ['attached at', 'source', 'policy', 'cached', 'share', ''],
        ...status.attachments.map((a) => [a.path, a.source, a.policy, cached(a), share(a), remark(a)]),
      ]),
    );
  }
  if (status.pins.length > 0) {
    const rows = status.pins.map(({ path, files, bytes }) => [path, String(files), formatBytes(bytes)]);
    lines.push('', table([['pinned', 'files', 'bytes'], ...rows]));
  }
  return lines.join('\n');
}

/** Of bytes that take less room than they are. */
function packed(storedBytes: number, rawBytes: number): string {
  if (rawBytes <= storedBytes) return '';
  return ` (of ${formatBytes(rawBytes)}, ${(rawBytes / storedBytes).toFixed(2)} to 1)`;
}

/** The longest first. */
function waitsOf({ waitSeconds }: Status): string {
  const causes = waitCauses.filter((cause) => waitSeconds[cause] >= 0.05);
  if (causes.length === 0) return 'not at all';
  return causes
    .toSorted((a, b) => waitSeconds[b] - waitSeconds[a])
    .map((cause) => `${cause} ${waitSeconds[cause].toFixed(1)} s`)
    .join(', ');
}
