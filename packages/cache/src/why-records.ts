import type { DeviceStatus, ObjectFacts, RecordFacts } from '@millpool/native';
import type { Policy, WhyMissing, WhyPlace, WhyReason, WhyResidency } from '@millpool/protocol';

type Fate = NonNullable<RecordFacts['fate']>['kind'];

const reasonsByFate: Readonly<Record<Fate, WhyReason>> = {
  'no-room': 'full',
  'table-full': 'table-full',
  'over-share': 'share',
  'read-later': 'order',
  'not-admitted': 'policy',
  young: 'young',
  failed: 'failed',
  freed: 'freed',
  evicted: 'evicted',
  damaged: 'damaged',
};

/** Why each record that is not resident is not, gathered by reason; the most bytes first. */
export function whyMissing(
  { records, fatesComplete }: Pick<ObjectFacts, 'records' | 'fatesComplete'>,
  { policy, nowSeconds }: { readonly policy: Policy; readonly nowSeconds: number },
): readonly WhyMissing[] {
  const groups = new Map<WhyReason, { records: number; bytes: number; latest: number | null }>();
  for (const record of records) {
    if (record.place !== undefined) continue;
    const reason = reasonOf(record, policy, fatesComplete);
    const group = groups.get(reason) ?? { records: 0, bytes: 0, latest: null };
    const isEvent = record.fate !== undefined && reason === reasonsByFate[record.fate.kind];
    if (isEvent) group.latest = Math.max(group.latest ?? 0, record.fate.atSeconds);
    groups.set(reason, { ...group, records: group.records + 1, bytes: group.bytes + record.bytes });
  }
  return [...groups]
    .map(([reason, { records: count, bytes, latest }]) => ({
      reason,
      records: count,
      bytes,
      secondsAgo: latest === null ? null : Math.max(0, nowSeconds - latest),
    }))
    .toSorted((left, right) => right.bytes - left.bytes);
}

function reasonOf({ state, fate }: RecordFacts, policy: Policy, fatesComplete: boolean): WhyReason {
  if (state !== 'absent') return 'under-way';
  if (fate !== undefined) return reasonsByFate[fate.kind];
  if (policy === 'stream') return 'policy';
  return fatesComplete ? 'never-read' : 'forgotten';
}

export function whyResidency({ records }: Pick<ObjectFacts, 'records'>): WhyResidency {
  const resident = records.filter(({ place }) => place !== undefined);
  return {
    records: records.length,
    residentRecords: resident.length,
    residentBytes: resident.reduce((sum, { bytes }) => sum + bytes, 0),
    storedBytes: resident.reduce((sum, { place }) => sum + (place?.storedBytes ?? 0), 0),
    pageCacheBytes: resident.reduce((sum, { place }) => sum + (place?.pageCacheBytes ?? 0), 0),
    verifiedRecords: resident.filter(({ place }) => place?.verified === true).length,
  };
}

/** By segment, in the order of the records. */
export function whyPlaces(
  { records }: Pick<ObjectFacts, 'records'>,
  devices: readonly DeviceStatus[],
): readonly WhyPlace[] {
  const places = new Map<string, WhyPlace>();
  for (const { bytes, place } of records) {
    if (place === undefined) continue;
    const { segment, device, sealed, pageCacheBytes } = place;
    const before = places.get(segment);
    places.set(segment, {
      device: devices[device]?.path ?? `device ${device}`,
      tier: devices[device]?.tier ?? 'fast',
      segment,
      sealed,
      records: (before?.records ?? 0) + 1,
      bytes: (before?.bytes ?? 0) + bytes,
      pageCacheBytes: (before?.pageCacheBytes ?? 0) + pageCacheBytes,
    });
  }
  return [...places.values()];
}
