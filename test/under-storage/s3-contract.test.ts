import { describe } from 'node:test';

import { openUnderStorage } from '@millpool/under-storage';
import type { Capabilities } from '@millpool/under-storage';
import { underStorageContract } from '@millpool/under-storage/testing';
import type { UnderStorageFixture } from '@millpool/under-storage/testing';

import { ensureMoto, startMoto } from '../harness/moto.ts';
import type { S3Server } from '../harness/s3-server.ts';
import { temporaryFolder } from '../harness/temporary-folder.ts';
import { startVersitygw } from '../harness/versitygw.ts';
import { ensureVersitygw } from '../harness/versitygw-binary.ts';
import { WritableBucket } from '../harness/writable-bucket.ts';
import { writeProfiles } from './aws-profiles.ts';

const say = (text: string): void => void process.stderr.write(`${text}\n`);
const everything: Capabilities = {
  anyBytes: false,
  oddKeys: true,
  fileBesideDirectory: true,
  controlCharacters: true,
  emptyDirectories: false,
};

interface ServerUnderTest extends Pick<UnderStorageFixture, 'holds' | 'refuses'> {
  readonly start: (directory: string) => Promise<S3Server>;
}

/** A fresh server with an empty bucket; `prefix` has something below it only after the first put. */
async function fixture({ start, holds, refuses }: ServerUnderTest, prefix: string): Promise<UnderStorageFixture> {
  const folder = await temporaryFolder('s3-contract');
  const server = await start(`${folder.path}/data`);
  await writeProfiles(folder.path, server);
  const bucket = await WritableBucket.create(server, 'contract');
  if (prefix !== '') await bucket.put(`${prefix}placeholder`, Buffer.from('x'));
  const { endpoint } = server;
  const settings = { endpoint, region: null, profile: 'right', anonymous: false, requesterPays: false };
  const storage = await openUnderStorage(`s3://contract/${prefix}`, settings);
  if (prefix !== '') await bucket.remove(`${prefix}placeholder`);
  return {
    storage,
    holds,
    refuses,
    put: (key, bytes) => bucket.put(Buffer.from(key).toString(), bytes),
    async stop() {
      bucket.close();
      await server.stop();
      await folder.remove();
    },
  };
}

const versitygw = await ensureVersitygw({ say });
const moto = await ensureMoto({ say });

if (versitygw.kind === 'unavailable') describe('under-storage contract: versitygw', { skip: versitygw.why });
else {
  const onDisk = { ...everything, oddKeys: false, fileBesideDirectory: false, controlCharacters: false };
  const start = (directory: string): Promise<S3Server> => startVersitygw({ binary: versitygw.what, directory });
  const server = { start, holds: onDisk, refuses: null };
  underStorageContract('versitygw', () => fixture(server, ''));
  underStorageContract('versitygw below a prefix', () => fixture(server, 'pre fix/two/'));
}

if (moto.kind === 'unavailable') describe('under-storage contract: moto', { skip: moto.why });
else {
  // Its routes match no newline.
  const server = { start: () => startMoto(moto.what), holds: everything, refuses: /\n/ };
  underStorageContract('moto', () => fixture(server, ''));
}
