import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import { awsEnvironment, ensureVersitygw, startVersitygw, WritableBucket } from '@millpool/test/harness';

import type { Show } from './show.ts';

const bucketName = 'millpool-demo';
/** Objects are kept when they are older than this; the demo's are new. */
const settleMs = 2200;

/** The demo's data where a daemon can attach it. */
export interface DemoSource extends AsyncDisposable {
  readonly uri: string;
  readonly kind: 's3' | 'folder';
  /** What the daemon needs in its environment to reach it. */
  readonly env: Readonly<Record<string, string>>;
}

export interface SourceFile {
  readonly key: string;
  readonly bytes: Uint8Array;
}

/** Puts files into a real S3 server, or into a folder where there can be none. Their keys begin with `data/`. */
export async function serveDataset(
  files: readonly SourceFile[],
  directory: string,
  show: Show,
  signal: AbortSignal,
): Promise<DemoSource> {
  const binary = await ensureVersitygw({ say: (text) => show.say(text), signal });
  if (binary.kind === 'unavailable') {
    show.say(`No S3 server (${binary.why}): the same data is served from a folder.`);
    return serveFolder(join(directory, 'source'), files);
  }
  const server = await startVersitygw({ binary: binary.what, directory });
  try {
    const bucket = await WritableBucket.create(server, bucketName);
    const bar = show.bar('put into the bucket', totalBytes(files));
    await bucket.putAll(files, { onPut: (bytes) => bar.advance(bytes), signal });
    bar.stop();
    bucket.close();
    await sleep(settleMs);
  } catch (error) {
    await server.stop();
    throw error;
  }
  show.say(`${files.length} objects are in s3://${bucketName} at ${server.endpoint} (versitygw).`);
  const uri = `s3://${bucketName}/data`;
  return { uri, kind: 's3', env: awsEnvironment(server), [Symbol.asyncDispose]: () => server.stop() };
}

async function serveFolder(directory: string, files: readonly SourceFile[]): Promise<DemoSource> {
  for (const { key, bytes } of files) {
    const path = join(directory, key);
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, bytes);
  }
  await sleep(settleMs);
  return { uri: join(directory, 'data'), kind: 'folder', env: {}, [Symbol.asyncDispose]: async () => undefined };
}

function totalBytes(files: readonly SourceFile[]): number {
  return files.reduce((sum, file) => sum + file.bytes.length, 0);
}
