import type { DeviceStatus } from '@millpool/native';
import { formatBytes } from '@millpool/protocol';
import type { CacheStatus } from '@millpool/protocol';

/** What the largest record takes, with its extent's header and its part of a footer: less is no room. */
const leastRoomBytes = 4 * 1024 ** 2 + 64 * 1024;

/** A device is full when it said so, and also when what is left is too little to try. */
export function stateOf({ state, roomBytes }: DeviceStatus): DeviceStatus['state'] {
  return state === 'ok' && roomBytes < leastRoomBytes ? 'full' : state;
}

/** Whether anything is admitted, and why not: what is read is written to the fast tier. */
export function admission(all: readonly DeviceStatus[], tableFull: boolean): Pick<CacheStatus, 'state' | 'why'> {
  if (tableFull) return { state: 'full', why: whyTableFull };
  const devices = all.filter(({ tier }) => tier === 'fast');
  const dead = devices.filter((device) => device.state === 'failed').map((device) => device.path);
  const failed = dead.length === 0 ? '' : `${dead.join(', ')} gave I/O errors and is left alone. `;
  if (devices.some((device) => stateOf(device) === 'ok')) return { state: 'on', why: failed.trim() };
  if (dead.length === devices.length)
    return { state: 'off', why: `${failed}Replace the device or name another with --data.` };
  const reasons = devices.filter((device) => device.state !== 'failed').map(whyFull);
  const remedy = 'free something with `millpool free`, or give it more room with --size.';
  return { state: 'full', why: `${failed}Nothing more is admitted, since ${reasons.join(', and ')}: ${remedy}` };
}

export const whyTableFull =
  'Nothing more is admitted, since the key table fills its part of the memory budget: ' +
  'raise MILLPOOL_BUDGET, or free something with `millpool free`.';

function whyFull({ path, reason, sizeBytes, usedBytes }: DeviceStatus): string {
  return reason === '' ? `${path} holds ${formatBytes(usedBytes)} of its ${formatBytes(sizeBytes)}` : reason;
}
