import type { DeviceStatus, EngineCounters } from '@millpool/native';
import { formatBytes } from '@millpool/protocol';
import type { CacheStatus } from '@millpool/protocol';

import type { LeftOut } from './left-out.ts';

/** What the largest record takes, with its extent's header and its part of a footer: less is no room. */
const leastRoomBytes = 4 * 1024 ** 2 + 64 * 1024;

/** A device is full when it said so, and also when what is left is too little to try. */
export function stateOf({ state, roomBytes }: DeviceStatus): DeviceStatus['state'] {
  return state === 'ok' && roomBytes < leastRoomBytes ? 'full' : state;
}

/** Whether anything is admitted, and what keeps it or a part of the devices from it. */
export function admission(
  devices: readonly DeviceStatus[],
  { tableFull, loading }: Pick<EngineCounters, 'tableFull' | 'loading'>,
  leftOut: readonly LeftOut[] = [],
): Pick<CacheStatus, 'state' | 'why'> {
  if (tableFull) return { state: 'full', why: whyTableFull };
  const lost = [...leftOut.map(({ reason }) => `${reason} `), ...devices.filter(isDead).map(whyDead)].join('');
  const late = loading ? whyLoading : '';
  if (devices.some((device) => stateOf(device) === 'ok')) return { state: 'on', why: `${lost}${late}`.trim() };
  if (devices.every(isDead)) return { state: 'off', why: `${lost}Replace the device or name another with --data.` };
  const reasons = devices.filter((device) => !isDead(device)).map(whyFull);
  const remedy = 'free something with `millpool free`, or give it more room with --size.';
  return { state: 'full', why: `${lost}Nothing more is admitted, since ${reasons.join(', and ')}: ${remedy}` };
}

function isDead({ state }: DeviceStatus): boolean {
  return state === 'failed';
}

function whyDead({ path, reason }: DeviceStatus): string {
  return `${path} failed and is left alone: ${reason}. `;
}

export const whyTableFull =
  'Nothing more is admitted, since the key table fills its part of the memory budget: ' +
  'raise MILLPOOL_BUDGET, or free something with `millpool free`.';

/** It ends by itself. */
const whyLoading =
  'What earlier runs left is still being read: it is served, counted roughly, and nothing is written yet.';

function whyFull({ path, reason, sizeBytes, usedBytes }: DeviceStatus): string {
  return reason === '' ? `${path} holds ${formatBytes(usedBytes)} of its ${formatBytes(sizeBytes)}` : reason;
}
