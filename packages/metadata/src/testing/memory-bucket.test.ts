import { underStorageContract } from '@millpool/under-storage/testing';

import { MemoryBucket } from './memory-bucket.ts';

for (const prefix of ['', 'some/prefix/']) {
  underStorageContract(`a bucket in memory with prefix "${prefix}"`, async () => {
    const storage = new MemoryBucket(prefix);
    return {
      storage,
      holds: storage.supports,
      refuses: null,
      put: async (key, bytes) => storage.put(key, bytes.length),
      stop: async () => {},
    };
  });
}
