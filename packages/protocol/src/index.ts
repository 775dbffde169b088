export { asMillpoolError, errorCodeOf, errorTable, isErrorCode, MillpoolError } from './errors.ts';
export type { ErrorCode, ErrorShape } from './errors.ts';
export { etagOf, isWeak } from './entry.ts';
export type { Entry } from './entry.ts';
export { EntryPacker, unpackEntries } from './packed-entries.ts';
export type { EntryFields, PackedEntries } from './packed-entries.ts';
export { bytesOfName, nameOfBytes } from './name.ts';
export {
  comparePaths,
  isBelow,
  joinPath,
  keyOfPath,
  nameOf,
  parentOf,
  parsePath,
  pathBelow,
  pathBytesMax,
  pathOfKey,
  urlOfPath,
} from './path.ts';
export { compressions, policies } from './attachment.ts';
export type { Attachment, Compression, Freshness, Policy, S3Settings } from './attachment.ts';
export type { SourceAddress, SourceCredentials } from './source-address.ts';
export { formatFreshness, parseFreshness } from './freshness.ts';
export { formatBytes, formatSize, parseBytes, parseRate, parseSize } from './size.ts';
export type { Size } from './size.ts';
export { formatDurationMs, parseDurationMs } from './duration.ts';
export { waitCauses } from './activity.ts';
export type {
  LoaderActivity,
  ReadActivity,
  ReadCounts,
  ReaderActivity,
  SecondsByCause,
  SourceActivity,
  WaitCause,
} from './activity.ts';
export type {
  Activity,
  AttachmentStatus,
  HolderStatus,
  AttachRequest,
  CacheStatus,
  CopyStatus,
  Call,
  DatasetChange,
  DatasetDescription,
  DatasetDiffReply,
  DatasetDiffRequest,
  DatasetListReply,
  DatasetListRequest,
  DatasetPlace,
  DatasetReply,
  SnapshotProgress,
  CheckReply,
  CheckSourceReply,
  CheckSourceRequest,
  DatasetRequest,
  JobFailuresRequest,
  LoadLimits,
  LoadRequest,
  DeviceStatus,
  Handlers,
  HedgeStatus,
  JobStatus,
  Method,
  Methods,
  NodeMethod,
  Pin,
  PlanProgress,
  PlanReport,
  PlanRequest,
  PrefetchRequest,
  Reply,
  Request,
  ResolveReply,
  ResolveRequest,
  SourceDifference,
  StatResult,
  Status,
} from './methods.ts';
export {
  chosenRungs,
  clusterMethods,
  hotDirectoriesMax,
  mapRecordsMax,
  movesAtOnceMax,
  rebalanceStates,
  roles,
  rungs,
  shardsMax,
} from './cluster.ts';
export { entryClassCount } from './owner.ts';
export type {
  ClusterMethod,
  DirectoryMethod,
  DirectorySetRequest,
  DirectoryStatus,
  DirsReply,
  HotDirectory,
  MapMethod,
  MapRecord,
  MapReply,
  MapRestoreReply,
  MapRestoreRequest,
  NodesReply,
  NodeStatus,
  PlannedMove,
  PlannedSpread,
  RebalancePace,
  RebalancePlan,
  RebalanceState,
  RebalanceStatus,
  Role,
  Rung,
  ShardMoveRequest,
  ShardStatus,
} from './cluster.ts';
export type {
  AnsweredReads,
  CopyPlace,
  DirectoryHeat,
  ListingPart,
  NamesPart,
  OwnerAnswer,
  OwnerCopyReply,
  OwnerCopyRequest,
  OwnerListReply,
  OwnerListRequest,
  OwnerLookupRequest,
  OwnerMethod,
  ShardContent,
  OwnerQuestion,
  OwnerResult,
  OwnerReadsRequest,
  OwnerTakeRequest,
  ShardOwner,
} from './owner.ts';
export type { ListReply, ListRequest } from './list.ts';
export { tiers } from './tier.ts';
export type { Tier } from './tier.ts';
export type {
  WhyAttachment,
  WhyCost,
  WhyEntry,
  WhyMissing,
  WhyOwner,
  WhyPlace,
  WhyReason,
  WhyReply,
  WhyResidency,
  SourceHedges,
  WhySource,
} from './why.ts';
export {
  checkRequest,
  checkSourceLimitMax,
  datasetDiffLimitMax,
  datasetListLimitMax,
  isMethod,
  getsAtOnceMax,
  jobFailuresLimitMax,
  jobWaitSecondsMax,
  listLimitMax,
  requestPathsMax,
} from './request-checks.ts';
export { callTimeoutMsMax, decodeCall, decodeReply, encodeCall, encodeFailure, encodeReply } from './codec.ts';
export type { CheckedCall } from './codec.ts';
export { messageBytesMax, protocolVersion } from './version.ts';
