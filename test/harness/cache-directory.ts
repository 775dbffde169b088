import { mkdir } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';

/** Where builds and downloads stay from one run to the next. Made when it is missing. */
export async function cacheDirectory(...below: readonly string[]): Promise<string> {
  const home = process.env['XDG_CACHE_HOME'];
  const base = home === undefined || home === '' ? join(homedir(), '.cache') : home;
  const directory = join(base, 'millpool', ...below);
  await mkdir(directory, { recursive: true });
  return directory;
}

/** Something from elsewhere that a test, the demo or a benchmark needs: here, or why it cannot be had. */
export type Had<What> =
  | { readonly kind: 'ready'; readonly what: What }
  | { readonly kind: 'unavailable'; readonly why: string };

export interface Getting {
  /** Told before something that takes longer than a moment. */
  readonly say: (text: string) => void;
  readonly signal?: AbortSignal;
}
