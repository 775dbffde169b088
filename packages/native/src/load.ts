import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';

import { MillpoolError } from '@millpool/protocol';

import type { Binding } from './binding.ts';

const require = createRequire(import.meta.url);
let loaded: Binding | undefined;

/** The addon, loaded at the first call. Throws `unsupported` with what to do when it is missing or does not load. */
export function binding(): Binding {
  loaded ??= load(addonPath());
  return loaded;
}

/** Where `npm run build` puts the addon of this platform; this file may have become a part of another one. */
export function addonPath(): string {
  const name = `millpool.${process.platform}-${process.arch}.node`;
  return join(dirname(dirname(require.resolve('@millpool/native'))), name);
}

function load(path: string): Binding {
  if (!existsSync(path)) {
    throw new MillpoolError({
      code: 'unsupported',
      message: `the native addon for ${process.platform}-${process.arch} is not built: ${path} is missing`,
      remedy: 'Run `npm run build`; it needs Linux on x86-64 or arm64 and a stable Rust.',
    });
  }
  try {
    const addon: Binding = require(path);
    return addon;
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new MillpoolError(
      {
        code: 'unsupported',
        message: `the native addon ${path} does not load: ${reason}`,
        remedy: 'Run `npm run build` again on this machine, with the Node that is to load it.',
      },
      { cause },
    );
  }
}
