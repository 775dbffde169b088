export { attachmentRecords, decodeAttachment } from './attachment-record.ts';
export { startMetadata } from './start.ts';
export type { Metadata, MetadataConfig } from './start.ts';
export type { OpenUnderStorage } from './attached.ts';
export type { Owner } from './owner.ts';
export type { OnReplaced } from './replaced-versions.ts';
export type { LookupResult, ResolvedEntry } from './resolved-entry.ts';
