import { asMillpoolError, formatBytes } from '@millpool/protocol';
import type { Attachment, DeviceStatus, HolderStatus, Status } from '@millpool/protocol';

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
  const { cache, devices, holders, attachments, pid } = status;
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
    ...devices.filter(({ state }) => state === 'failed').map(failedDevice),
    ...holders.map(heldRoom),
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

function failedDevice({ path, reason }: DeviceStatus): Check {
  const remedy = 'Mend or replace it and start the daemon again, or leave it out of --data and --slow-data.';
  return fail(
    `device ${path}`,
    `It is left alone until the next start (${reason}): what it held comes from the source.`,
    remedy,
  );
}

function heldRoom({ pid, program, bytes, isStopped }: HolderStatus): Check {
  const who = pid === null ? 'a process that could not be found' : `pid ${pid} (${program})`;
  const remedy = isStopped ? 'It is stopped: let it go on, or end it.' : 'End it where it is not needed.';
  return warn('held room', `${formatBytes(bytes)} that were given up are still mapped by ${who}.`, remedy);
}
