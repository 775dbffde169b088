export { attachmentRecords, decodeAttachment } from './attachment-record.ts';
export { shardsDefault, startMetadata } from './start.ts';
export type { LocalMetadata, Metadata, MetadataConfig } from './start.ts';
export type { Home } from './home.ts';
export type { OpenUnderStorage } from './attached.ts';
export type { Owner } from './owner.ts';
export type { OnReplaced } from './replaced-versions.ts';
export type { LookupResult, ResolvedEntry } from './resolved-entry.ts';
export { decodeEntry, encodeEntry } from './store/records.ts';
