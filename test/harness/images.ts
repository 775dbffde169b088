import { access, mkdtemp, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';

import { cacheDirectory } from './cache-directory.ts';
import type { Getting, Had } from './cache-directory.ts';
import { runTool, ToolError } from './tool.ts';

const version = '16.0.0';
const fetchTimeoutMs = 10 * 60_000;

/** Google's Noto Emoji drawings, packed for npm. */
export const imagesLicence = `Images: emoji-datasource-google ${version} (MIT; the artwork is Apache-2.0).`;

/** A real image of 64 × 64 pixels, PNG. */
export interface Image {
  /** `CATEGORY/FILE.png`; categories have spaces and `&` in their names. */
  readonly name: string;
  /** One of nine. */
  readonly category: string;
  /** A variant of another image that differs in skin tone alone. */
  readonly isSkinTone: boolean;
  readonly file: string;
}

/** The image dataset, in the order of its names; a package of 74 MB from the npm registry, fetched once. */
export async function ensureImages(getting: Getting): Promise<Had<readonly Image[]>> {
  const directory = join(await cacheDirectory(), `emoji-datasource-google-${version}`);
  try {
    await access(directory).catch(() => fetchImages(directory, getting));
    return { kind: 'ready', what: await readImages(directory) };
  } catch (thrown) {
    if (thrown instanceof ToolError) return { kind: 'unavailable', why: `the images cannot be had: ${thrown.message}` };
    throw thrown;
  }
}

async function fetchImages(directory: string, { say, signal }: Getting): Promise<void> {
  say(`Fetching the image dataset emoji-datasource-google ${version} (74 MB) from the npm registry, once.`);
  const place = await mkdtemp(`${directory}-`);
  const options = { timeoutMs: fetchTimeoutMs, directory: place, ...(signal === undefined ? {} : { signal }) };
  try {
    await runTool('npm', ['pack', '--silent', `emoji-datasource-google@${version}`], options);
    const wanted = ['package/img/google/64', 'package/emoji.json', 'package/LICENSE', 'package/README.md'];
    await runTool('tar', ['-xzf', `emoji-datasource-google-${version}.tgz`, ...wanted], options);
    await rename(join(place, 'package'), directory);
  } finally {
    await rm(place, { recursive: true, force: true });
  }
}

interface EmojiImage {
  readonly image: string;
  readonly has_img_google: boolean;
}

interface EmojiRecord extends EmojiImage {
  readonly category: string;
  readonly skin_variations?: Readonly<Record<string, EmojiImage>>;
}

async function readImages(directory: string): Promise<readonly Image[]> {
  const records = JSON.parse(await readFile(join(directory, 'emoji.json'), 'utf8')) as readonly EmojiRecord[];
  const images: Image[] = [];
  const add = ({ image, has_img_google }: EmojiImage, category: string, isSkinTone: boolean): void => {
    const file = join(directory, 'img', 'google', '64', image);
    if (has_img_google) images.push({ name: `${category}/${image}`, category, isSkinTone, file });
  };
  for (const record of records) {
    if (record.category === 'Component') continue;
    add(record, record.category, false);
    for (const variation of Object.values(record.skin_variations ?? {})) add(variation, record.category, true);
  }
  return images.sort((one, other) => (one.name < other.name ? -1 : 1));
}
