import { join } from 'node:path';

import type { Getting, Had } from './cache-directory.ts';
import { ensurePythonEnvironment } from './python-environment.ts';
import type { S3Server } from './s3-server.ts';
import { ServerProcess } from './server-process.ts';

/** Apache-2.0; only ever a process of its own. */
const version = '5.2.5';

/**
 * moto's S3 server, whose keys are any text, as those of S3 are. It checks no signature, so nothing about credentials
 * can be tested with it. The value is the folder of its Python environment.
 */
export function ensureMoto(getting: Getting): Promise<Had<string>> {
  const title = `the S3 server moto ${version}`;
  return ensurePythonEnvironment({ name: 'moto', title, requirements: [`moto[server]==${version}`] }, getting);
}

export async function startMoto(environment: string): Promise<S3Server> {
  const server = await ServerProcess.start(join(environment, 'bin', 'moto_server'), (port) => [
    '--host',
    '127.0.0.1',
    '--port',
    String(port),
  ]);
  const endpoint = `http://127.0.0.1:${server.port}`;
  return { endpoint, region: 'us-east-1', accessKey: 'any', secretKey: 'any', stop: () => server.stop() };
}
