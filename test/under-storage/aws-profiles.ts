import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { clearAwsEnvironment } from '../harness/s3-server.ts';
import type { S3Server } from '../harness/s3-server.ts';

/** Names of the profiles that `writeProfiles` makes. */
export const profiles = ['right', 'wrong-secret', 'unknown-key'] as const;
export type ProfileName = (typeof profiles)[number];

/** AWS files of their own for this process, with the right credentials of a server and wrong ones. */
export async function writeProfiles(directory: string, server: Omit<S3Server, 'stop'>): Promise<void> {
  const { accessKey, secretKey, endpoint, region } = server;
  const credentials: Record<ProfileName, readonly [string, string]> = {
    right: [accessKey, secretKey],
    'wrong-secret': [accessKey, 'not-the-secret'],
    'unknown-key': ['nobody-has-this-key', secretKey],
  };
  const lines = Object.entries(credentials).map(
    ([name, [key, secret]]) => `[${name}]\naws_access_key_id = ${key}\naws_secret_access_key = ${secret}\n`,
  );
  const config = profiles.map((name) => `[profile ${name}]\nregion = ${region}\nservices = all\n`);
  await writeFile(join(directory, 'credentials'), lines.join('\n'));
  config.push(`[services all]\ns3 =\n  endpoint_url = ${endpoint}\n`);
  await writeFile(join(directory, 'config'), config.join('\n'));
  clearAwsEnvironment(directory);
}
