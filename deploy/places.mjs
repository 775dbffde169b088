import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The repository. */
export const root = dirname(dirname(fileURLToPath(import.meta.url)));

/** Where cargo builds. */
export const targetDirectory = process.env.CARGO_TARGET_DIR ?? `${root}/native/target`;

/** The addon, as packages/native looks for it. */
export const addonPath = `${root}/packages/native/millpool.${process.platform}-${process.arch}.node`;

/** Python's extension module, as packages/python looks for it. */
export const extensionPath = `${root}/packages/python/src/millpool/_native.abi3.so`;

/** A program of node_modules; npx would cost half a second and may print. */
export const bin = (name) => `${root}/node_modules/.bin/${name}`;
