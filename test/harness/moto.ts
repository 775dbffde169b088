import { access, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { cacheDirectory } from './cache-directory.ts';
import type { Getting, Had } from './cache-directory.ts';
import type { S3Server } from './s3-server.ts';
import { ServerProcess } from './server-process.ts';
import { runTool, ToolError } from './tool.ts';

/** Apache-2.0; only ever a process of its own. */
const version = '5.2.5';
const installTimeoutMs = 10 * 60_000;

/**
 * moto's S3 server, whose keys are any text, as those of S3 are. It checks no signature, so nothing about credentials
 * can be tested with it. The value is the folder of its Python environment.
 */
export async function ensureMoto({ say, signal }: Getting): Promise<Had<string>> {
  const directory = join(await cacheDirectory(), `moto-${version}`);
  const done = join(directory, 'installed');
  try {
    await access(done);
    return { kind: 'ready', what: directory };
  } catch {
    say(`Installing the S3 server moto ${version} with pip, once.`);
  }
  const options = { timeoutMs: installTimeoutMs, ...(signal === undefined ? {} : { signal }) };
  try {
    // The paths inside an environment are absolute: it is made in its place, and marked when it is whole.
    await rm(directory, { recursive: true, force: true });
    await runTool('python3', ['-m', 'venv', directory], options);
    await runTool(join(directory, 'bin', 'pip'), ['install', '--quiet', `moto[server]==${version}`], options);
    await writeFile(done, '');
    return { kind: 'ready', what: directory };
  } catch (thrown) {
    if (thrown instanceof ToolError) return { kind: 'unavailable', why: `moto cannot be had: ${thrown.message}` };
    throw thrown;
  }
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
