import { asMillpoolError } from '@millpool/protocol';
import type { Attachment, Status } from '@millpool/protocol';

import type { Tools } from '../command-context.ts';
import { version } from '../version.ts';
import { fail, ok, warn } from './check.ts';
import type { Check } from './check.ts';

const answerSeconds = 5;

/** What a daemon says of itself; null where none runs. */
export interface DaemonFindings {
  readonly status: Status;
  readonly attachments: readonly Attachment[];
}

export async function askDaemon({ session, signal }: Tools): Promise<DaemonFindings | Check> {
  const options = { signal, timeoutSeconds: answerSeconds };
  try {
    const status = await session.call('status', {}, options);
    const { attachments } = await session.call('attachments', {}, options);
    return { status, attachments };
  } catch (error) {
    signal.throwIfAborted();
    const { code, message, remedy } = asMillpoolError(error);
    if (code === 'unreachable') return ok('daemon', 'None runs here; with one, more can be told.');
    return fail('daemon', `${message}.`, remedy);
  }
}

export function daemonChecks({ status }: DaemonFindings): readonly Check[] {
  const { cache, devices, attachments, pid } = status;
  return [
    status.version === version
      ? ok('daemon', `Millpool ${status.version} runs (pid ${pid}).`)
      : warn(
          'daemon',
          `The daemon is Millpool ${status.version} (pid ${pid}), this command ${version}.`,
          'Restart it: `millpool down`, then `millpool up`.',
        ),
    ...(cache.state === 'on'
      ? []
      : [warn('cache', cache.why, 'Until then what is not cached is read from its source.')]),
    ...devices
      .filter(({ state }) => state === 'failed')
      .map(({ path }) => fail(`device ${path}`, 'It gave an I/O error and is left alone.', 'Replace it; see the log.')),
    ...(cache.damagedRecords === 0
      ? []
      : [
          warn(
            'checksums',
            `${cache.damagedRecords} stored records did not match their checksum, and were fetched again.`,
            'If it goes on, suspect the device.',
          ),
        ]),
    ...attachments.map(({ path, source, error }) =>
      error === null
        ? ok(`attachment ${path}`, `${source} can be read.`)
        : fail(`attachment ${path}`, `${source} is away: ${error.message}.`, error.remedy),
    ),
  ];
}
