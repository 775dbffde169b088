import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import {
  awsEnvironment,
  ensureImages,
  ensureVersitygw,
  generatedFiles,
  imagesLicence,
  startVersitygw,
  WritableBucket,
} from '@millpool/test/harness';
import { MillpoolError } from '@millpool/protocol';

import type { Show } from './show.ts';

const bucketName = 'millpool-demo';
const generated = { count: 3000, seed: 1, bytesMin: 20 * 1024, bytesMax: 200 * 1024 };
/** Objects are kept when they are older than this; the demo's are new. */
const settleMs = 2200;

/** The demo's data where a daemon can attach it. */
export interface DemoSource extends AsyncDisposable {
  readonly uri: string;
  readonly kind: 's3' | 'folder';
  /** What the daemon needs in its environment to reach it. */
  readonly env: Readonly<Record<string, string>>;
}

interface File {
  readonly key: string;
  readonly bytes: Uint8Array;
}

/** Puts real images and generated files into a real S3 server, or into a folder where there can be none. */
export async function serveDataset(directory: string, show: Show, signal: AbortSignal): Promise<DemoSource> {
  const getting = { say: (text: string): void => show.say(text), signal };
  const files = await datasetFiles(show, getting);
  const binary = await ensureVersitygw(getting);
  if (binary.kind === 'unavailable') {
    show.say(`No S3 server (${binary.why}): the same data is served from a folder.`);
    return serveFolder(join(directory, 'demo'), files);
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

async function datasetFiles(show: Show, getting: Parameters<typeof ensureImages>[0]): Promise<readonly File[]> {
  const files: File[] = [];
  for (const { name, bytes } of generatedFiles(generated)) files.push({ key: `data/generated/${name}`, bytes });
  const images = await ensureImages(getting);
  if (images.kind === 'unavailable') {
    throw new MillpoolError({
      code: 'source-unavailable',
      message: `The demo's images cannot be fetched: ${images.why}.`,
      remedy: 'Check that the npm registry can be reached, and run it again.',
    });
  }
  show.say(imagesLicence);
  for (const image of images.what) files.push({ key: `data/images/${image.name}`, bytes: await readFile(image.file) });
  return files;
}

async function serveFolder(directory: string, files: readonly File[]): Promise<DemoSource> {
  for (const { key, bytes } of files) {
    const path = join(directory, key);
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, bytes);
  }
  await sleep(settleMs);
  return { uri: join(directory, 'data'), kind: 'folder', env: {}, [Symbol.asyncDispose]: async () => undefined };
}

function totalBytes(files: readonly File[]): number {
  return files.reduce((sum, file) => sum + file.bytes.length, 0);
}
