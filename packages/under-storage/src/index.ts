export { findAws } from './s3/aws-findings.ts';
export type { AwsFindings } from './s3/aws-findings.ts';
export { openUnderStorage } from './open.ts';
export { RangedListing } from './ranges/ranged-listing.ts';
export type { RangedRequest } from './ranges/ranged-listing.ts';
export { rootGone } from './root-gone.ts';
export { SourceFiles } from './source-files.ts';
export type { SourceFile } from './source-files.ts';
export { parseSource, sourceName } from './source-uri.ts';
export type { SourceUri } from './source-uri.ts';
export { skipReasons } from './under-storage.ts';
export type {
  Capabilities,
  ListPage,
  ListRequest,
  Patience,
  Skipped,
  SkipReason,
  UnderStorage,
} from './under-storage.ts';
