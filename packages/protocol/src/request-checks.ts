import { waitCauses } from './activity.ts';
import type { SecondsByCause } from './activity.ts';
import { compressions, policies } from './attachment.ts';
import type { Freshness, S3Settings } from './attachment.ts';
import {
  flag,
  integer,
  invalidField,
  listOf,
  membersOf,
  numberWithin,
  oneOf,
  orNull,
  record,
  text,
  textBytesMax,
} from './check.ts';
import type { Check } from './check.ts';
import { chosenRungs, hotDirectoriesMax, mapRecordsMax, movesAtOnceMax, shardsMax } from './cluster.ts';
import type { DirectorySetRequest, MapRecord, MapRestoreRequest, ShardMoveRequest } from './cluster.ts';
import { MillpoolError } from './errors.ts';
import type { ListRequest } from './list.ts';
import type {
  AttachRequest,
  CheckSourceRequest,
  DatasetDiffRequest,
  DatasetListRequest,
  DatasetPlace,
  DatasetRequest,
  JobFailuresRequest,
  LoadLimits,
  LoadRequest,
  Method,
  Methods,
  PlanReport,
  PlanRequest,
  PrefetchRequest,
  Request,
  ResolveRequest,
} from './methods.ts';
import { entryClassCount } from './owner.ts';
import type {
  AnsweredReads,
  CopyPlace,
  OwnerCopyRequest,
  OwnerListRequest,
  OwnerLookupRequest,
  NamesPart,
  OwnerQuestion,
  OwnerReadsRequest,
  OwnerTakeRequest,
} from './owner.ts';
import { parsePath } from './path.ts';

export const listLimitMax = 10_000;
export const datasetListLimitMax = 1_000;
export const datasetDiffLimitMax = 5_000;
export const requestPathsMax = 65_536;
export const checkSourceLimitMax = 100_000;
export const getsAtOnceMax = 1_024;
export const prefetchSamplesMax = 65_536;
export const jobFailuresLimitMax = 1_000;
export const jobWaitSecondsMax = 3_600;
const ttlSecondsMax = 10 * 365 * 86_400;
const uint32Max = 2 ** 32 - 1;
const worldMax = 2 ** 20;

const path: Check<string> = (value, field) => {
  const written = text(value, field);
  // Its error has the path that somebody wrote, which says more than the field.
  return parsePath(written);
};

/** A slash at the end of its last name would belong to the names below it (path.ts), so none could be reached. */
const attachmentPath: Check<string> = (value, field) => {
  const parsed = path(value, field);
  if (parsed !== '/' && !parsed.includes('%2F')) return parsed;
  throw new MillpoolError({
    code: 'invalid',
    message: `nothing can be attached at ${parsed}`,
    remedy: 'Name a path of one name or more without %2F, as in --at /train.',
    path: parsed,
  });
};

const freshness: Check<Freshness> = (value, field) => {
  const members = membersOf(value, field);
  const kind = oneOf(['immutable', 'ttl', 'strict'])(members.get('kind'), `${field}.kind`);
  if (kind !== 'ttl') return { kind };
  return { kind, seconds: numberWithin(0, ttlSecondsMax)(members.get('seconds'), `${field}.seconds`) };
};

const sourceText: Check<string> = (value, field) => {
  const source = text(value, field);
  if (source === '') throw invalidField(field, 'is empty');
  return source;
};

const glob: Check<string> = (value, field) => {
  const pattern = text(value, field);
  if (pattern === '') throw invalidField(field, 'is empty, and matches nothing');
  return pattern;
};

const version: Check<string> = (value, field) => {
  const id = text(value, field);
  if (!/^[0-9a-f]{64}$/.test(id)) throw invalidField(field, 'is not a dataset version: 64 hex digits in lower case');
  return id;
};

const nothing: Check<Record<string, never>> = record<Record<string, never>>({});
const job = integer(0, uint32Max);
const paths = record<Methods['stat']['request']>({ paths: listOf(path, requestPathsMax) });

const s3Settings: Check<S3Settings> = record<S3Settings>({
  endpoint: orNull(text),
  region: orNull(text),
  profile: orNull(text),
  anonymous: flag,
  requesterPays: flag,
});

const planNumber = record<Methods['plan-close']['request']>({ plan: integer(0, uint32Max) });

const waitSeconds: Check<SecondsByCause> = record(
  Object.fromEntries(waitCauses.map((cause) => [cause, numberWithin(0, Number.MAX_SAFE_INTEGER)])) as {
    readonly [cause in keyof SecondsByCause]: Check<number>;
  },
);

const planFields: Check<PlanRequest> = record<PlanRequest>({
  version,
  seed: integer(0),
  epoch: integer(0),
  shuffle: flag,
  dropLast: flag,
  position: integer(0),
  globalBatch: integer(1, uint32Max),
  rank: integer(0, worldMax - 1),
  world: integer(1, worldMax),
});

const plan: Check<PlanRequest> = (value, field) => {
  const request = planFields(value, field);
  if (request.rank >= request.world) throw invalidField(`${field}.rank`, `is not below the world of ${request.world}`);
  return request;
};

const sampleNumbers: Check<Uint8Array> = (value, field) => {
  if (!(value instanceof Uint8Array) || value.length % 8 !== 0) throw invalidField(field, 'is not numbers of 8 bytes');
  if (value.length > 8 * prefetchSamplesMax) throw invalidField(field, `is more than ${prefetchSamplesMax} samples`);
  return value;
};

const nameBytes: Check<Uint8Array> = (value, field) => {
  if (value instanceof Uint8Array && value.length <= textBytesMax) return value;
  throw invalidField(field, `is not a name of up to ${textBytesMax} bytes`);
};

const namesPart: Check<NamesPart> = (value, field) => {
  const part = record<NamesPart>({ index: integer(0, shardsMax - 1), count: integer(1, shardsMax) })(value, field);
  const isPowerOfTwo = (part.count & (part.count - 1)) === 0;
  if (isPowerOfTwo && part.index < part.count) return part;
  throw invalidField(field, 'is not a part of a power of two');
};

const nodeId: Check<string> = (value, field) => {
  const id = text(value, field);
  if (!/^[a-z0-9][a-z0-9-]{0,62}$/.test(id)) throw invalidField(field, 'is not the id of a node');
  return id;
};

const atOnce = integer(1, movesAtOnceMax);
const bytesPerSecond = orNull(integer(1, Number.MAX_SAFE_INTEGER));
const hotLimit = integer(1, hotDirectoriesMax);
const shard = integer(0, shardsMax - 1);
const list = record<ListRequest>({ path, recursive: flag, cursor: orNull(text), limit: integer(1, listLimitMax) });
const asked = { shard, term: integer(0), attachment: integer(0, uint32Max) };

const requestChecks: { readonly [M in Method]: Check<Request<M>> } = {
  list,
  stat: paths,
  resolve: record<ResolveRequest>({ paths: listOf(path, requestPathsMax), atSource: flag }),
  attach: record<AttachRequest>({
    source: sourceText,
    path: orNull(attachmentPath),
    freshness,
    policy: oneOf(policies),
    compression: oneOf(compressions),
    readOnly: flag,
    s3: orNull(s3Settings),
  }),
  detach: record<Methods['detach']['request']>({ path }),
  attachments: nothing,
  dataset: record<DatasetRequest>({ path, version: orNull(version), include: orNull(glob) }),
  'dataset-making': nothing,
  'dataset-list': record<DatasetListRequest>({ after: orNull(version), limit: integer(1, datasetListLimitMax) }),
  'dataset-diff': record<DatasetDiffRequest>({
    before: version,
    after: version,
    place: orNull(record<DatasetPlace>({ before: integer(0), after: integer(0) })),
    limit: integer(1, datasetDiffLimitMax),
  }),
  'dataset-free': record<Methods['dataset-free']['request']>({ version }),
  'plan-open': plan,
  'plan-progress': planNumber,
  'plan-report': record<PlanReport>({ plan: integer(0, uint32Max), waitSeconds }),
  'plan-close': planNumber,
  prefetch: record<PrefetchRequest>({ version, samples: sampleNumbers }),
  load: record<LoadRequest>({
    path,
    verify: flag,
    limits: record<LoadLimits>({
      bytesPerSecond: orNull(numberWithin(1, Number.MAX_SAFE_INTEGER)),
      getsAtOnce: orNull(integer(1, getsAtOnceMax)),
    }),
  }),
  job: record<Methods['job']['request']>({ job, waitSeconds: numberWithin(0, jobWaitSecondsMax) }),
  jobs: nothing,
  'job-failures': record<JobFailuresRequest>({ job, skip: integer(0), limit: integer(1, jobFailuresLimitMax) }),
  'job-cancel': record<Methods['job-cancel']['request']>({ job }),
  check: paths,
  'check-source': record<CheckSourceRequest>({
    path,
    cursor: orNull(text),
    limit: integer(1, checkSourceLimitMax),
  }),
  free: record<Methods['free']['request']>({ path }),
  why: record<Methods['why']['request']>({ path }),
  pin: record<Methods['pin']['request']>({ path }),
  unpin: record<Methods['unpin']['request']>({ path }),
  pins: nothing,
  nodes: nothing,
  shards: nothing,
  'shards-move': record<ShardMoveRequest>({ shards: listOf(shard, shardsMax), to: nodeId }),
  'rebalance-plan': nothing,
  'rebalance-run': record<Methods['rebalance-run']['request']>({ atOnce, bytesPerSecond }),
  'rebalance-status': nothing,
  'rebalance-pause': nothing,
  'rebalance-resume': nothing,
  'rebalance-cancel': nothing,
  drain: record<Methods['drain']['request']>({ node: nodeId, atOnce, bytesPerSecond }),
  undrain: record<Methods['undrain']['request']>({ node: nodeId }),
  dirs: record<Methods['dirs']['request']>({ limit: hotLimit }),
  directory: record<Methods['directory']['request']>({ path }),
  'directory-set': record<DirectorySetRequest>({
    path,
    rung: orNull(oneOf(chosenRungs)),
    parts: orNull(integer(2, shardsMax)),
  }),
  map: nothing,
  'map-restore': record<MapRestoreRequest>({
    records: listOf(record<MapRecord>({ key: text, value: text }), mapRecordsMax),
    isDryRun: flag,
  }),
  'owner-lookup': record<OwnerLookupRequest>({
    from: nodeId,
    questions: listOf(
      record<OwnerQuestion>({ ...asked, part: orNull(namesPart), paths: listOf(path, requestPathsMax) }),
      requestPathsMax,
    ),
  }),
  'owner-list': record<OwnerListRequest>({ ...asked, from: nodeId, list }),
  'owner-copy': record<OwnerCopyRequest>({
    ...asked,
    from: nodeId,
    path,
    part: orNull(namesPart),
    maxAgeSeconds: orNull(numberWithin(0, Number.MAX_SAFE_INTEGER)),
    known: orNull(text),
    isReferred: flag,
    after: orNull(record<CopyPlace>({ kind: integer(0, entryClassCount - 1), name: nameBytes })),
  }),
  'owner-take': record<OwnerTakeRequest>({ from: nodeId, shard, paths: listOf(path, requestPathsMax) }),
  'owner-reads': record<OwnerReadsRequest>({
    from: nodeId,
    directories: listOf(
      record<AnsweredReads>({ path, caller: nodeId, reads: integer(1), nameHash: orNull(integer(0, 0xffff_ffff)) }),
      requestPathsMax,
    ),
  }),
  'owner-shards': nothing,
  'owner-heat': record<Methods['owner-heat']['request']>({ limit: hotLimit }),
  status: nothing,
  activity: nothing,
  shutdown: nothing,
};

export function isMethod(name: string): name is Method {
  return Object.hasOwn(requestChecks, name);
}

/** A request as it came over a wire, paths in normal form, ready for a handler; or `invalid`, naming the field. */
export function checkRequest<M extends Method>(method: M, value: unknown): Request<M> {
  return requestChecks[method](value, method);
}
