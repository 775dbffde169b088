import type { S3Settings } from '@millpool/protocol';

import { LocalStorage } from './local/local-storage.ts';
import { parseSource } from './source-uri.ts';
import type { Patience, UnderStorage } from './under-storage.ts';

/**
 * The under-storage that a source names (`parseSource`), after one real look at it: a folder or bucket that is missing,
 * credentials that are missing or wrong, and an endpoint that cannot be reached are errors here.
 */
export async function openUnderStorage(
  source: string,
  settings: S3Settings | null,
  patience: Patience = usualPatience,
): Promise<UnderStorage> {
  const uri = parseSource(source);
  switch (uri.scheme) {
    case 'local':
      return LocalStorage.open(uri.folder, patience.requestMs);
    case 's3': {
      // The SDK costs 125 ms to load, which a folder's user should not pay.
      const { S3Storage } = await import('./s3/s3-storage.ts');
      return S3Storage.open(uri, settings ?? defaultSettings, patience);
    }
  }
}

const usualPatience: Patience = { requestMs: 60_000, credentialsMs: 60_000 };

const defaultSettings: S3Settings = {
  endpoint: null,
  region: null,
  profile: null,
  anonymous: false,
  requesterPays: false,
};
