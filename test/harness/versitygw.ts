import { mkdir } from 'node:fs/promises';

import type { S3Server } from './s3-server.ts';
import { ServerProcess } from './server-process.ts';

export interface VersitygwOptions {
  /** The program (`ensureVersitygw`). */
  readonly binary: string;
  /** Each folder in it is a bucket; nothing else may write there, since files put past the server have no ETag. */
  readonly directory: string;
  readonly region?: string;
  /** Of the one account that there is. */
  readonly secretKey?: string;
  /** PEM files; with them it speaks TLS. */
  readonly tls?: { readonly certificate: string; readonly key: string };
}

const accessKey = 'millpool-test';

export async function startVersitygw(options: VersitygwOptions): Promise<S3Server & { readonly pid: number }> {
  const { binary, directory, region = 'us-east-1', secretKey = 'millpool-test-secret', tls } = options;
  const certified = tls === undefined ? [] : ['--cert', tls.certificate, '--key', tls.key];
  await mkdir(directory, { recursive: true });
  const server = await ServerProcess.start(
    binary,
    (port) => {
      const place = ['--port', `127.0.0.1:${port}`, '--region', region];
      return ['--quiet', '--keep-alive', ...place, ...certified, 'posix', directory];
    },
    { ROOT_ACCESS_KEY: accessKey, ROOT_SECRET_KEY: secretKey },
  );
  const endpoint = `${tls === undefined ? 'http' : 'https'}://127.0.0.1:${server.port}`;
  return { endpoint, region, accessKey, secretKey, pid: server.pid, stop: () => server.stop() };
}
