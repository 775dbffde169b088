import type { S3Settings } from '@millpool/protocol';
import type { SourceUri } from '../source-uri.ts';
import type { UnderStorage } from '../under-storage.ts';
export class S3Storage { static async open(_uri: SourceUri, _settings: S3Settings): Promise<UnderStorage> { throw new Error(); } }
