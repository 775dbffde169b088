export { Batch, type BatchTotals, type Origin, type Waits } from './batch.ts';
export {
  type DatasetChange,
  type DatasetEntry,
  DatasetFile,
  type DatasetFileConfig,
  DatasetFileWriter,
  type DatasetHeader,
  type DatasetSummary,
  type DiffPage,
  type DiffPlace,
} from './dataset-file.ts';
export {
  type AttachmentSettings,
  type Caller,
  type Copied,
  type DeviceConfig,
  type DeviceStatus,
  Engine,
  type EngineConfig,
  type EngineCounters,
  type EngineHandlers,
  type Forgotten,
  type Freed,
  identityHash,
  type JobAhead,
  type KeepTerms,
  type Lingering,
  type ObjectFacts,
  type Receipt,
  type RecordFacts,
  type RecordPlace,
  type SegmentName,
  type SegmentStatus,
  type SegmentWorth,
  type ServeConfig,
  type SourceSettings,
  type SourceTally,
  type TenantStatus,
  type Urgency,
  type Verified,
} from './engine.ts';
export { type DealtBlock, EntryDealer } from './entry-dealer.ts';
export { BlockPacker, EntryMerge, PackedPage } from './entry-merge.ts';
export type { TakenEntry } from './entry-merge.ts';
export { Fetch, type FetchFailure, type FetchProgress } from './fetch.ts';
export { HeapLimit } from './heap-limit.ts';
export { Pace, type PaceLimits } from './pace.ts';
export { type ClientState, FlowClient, type FlowClientConfig, type Ranges, type ReadOptions } from './flow-client.ts';
export type { Replayed } from './flow-client.ts';
export type { KnownReads } from './known-reads.ts';
export { type ListedPage, readListPage } from './list-page.ts';
export { addonPath } from './load.ts';
export {
  copyRate,
  type DeviceRates,
  deviceRates,
  type DeviceTrial,
  directFault,
  ioUringFault,
  type Rate,
} from './machine.ts';
export { type FoundNames, NameCache, NameTable, type TableFreshness } from './name-cache.ts';
export { remedyFor } from './native-error.ts';
export { countObjects, type ObjectEntry, packObjects, spliceObjects, unpackObjects } from './object-list.ts';
export { Order, type OrderConfig, Schedule, type ScheduleConfig, type Step } from './order.ts';
