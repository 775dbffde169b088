import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';

import { ensureImages, generatedFiles, imagesLicence } from '@millpool/test/harness';
import type { Image } from '@millpool/test/harness';
import { MillpoolError } from '@millpool/protocol';

import type { SourceFile } from './dataset-source.ts';
import type { Show } from './show.ts';

const generated = { count: 3000, seed: 1, bytesMin: 20 * 1024, bytesMax: 200 * 1024 };
/** One image of so many is kept from training, to be measured by. */
const heldOutOf = 5;

/** Real images, and generated files of the sizes of photos. */
export async function mixedFiles(show: Show, signal: AbortSignal): Promise<readonly SourceFile[]> {
  const files: SourceFile[] = [];
  for (const { name, bytes } of generatedFiles(generated)) files.push({ key: `data/generated/${name}`, bytes });
  for (const image of await images(show, signal)) files.push(await fileOf(image, 'images'));
  return files;
}

/** Real images, each in a directory that names what it shows; variants in skin tone alone would only be repetitions. */
export async function labelledFiles(show: Show, signal: AbortSignal): Promise<readonly SourceFile[]> {
  const single = (await images(show, signal)).filter(({ isSkinTone }) => !isSkinTone);
  return Promise.all(single.map((image) => fileOf(image, isHeldOut(image) ? 'test' : 'train')));
}

async function images(show: Show, signal: AbortSignal): Promise<readonly Image[]> {
  const had = await ensureImages({ say: (text) => show.say(text), signal });
  if (had.kind === 'unavailable') {
    throw new MillpoolError({
      code: 'source-unavailable',
      message: `The demo's images cannot be fetched: ${had.why}.`,
      remedy: 'Check that the npm registry can be reached, and run it again.',
    });
  }
  show.say(imagesLicence);
  return had.what;
}

async function fileOf({ name, file }: Image, folder: string): Promise<SourceFile> {
  return { key: `data/${folder}/${name}`, bytes: await readFile(file) };
}

/** By its name, so that it is the same in every run. */
function isHeldOut({ name }: Image): boolean {
  return (createHash('sha256').update(name).digest()[0] ?? 0) % heldOutOf === 0;
}
