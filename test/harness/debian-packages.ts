import { readdir } from 'node:fs/promises';
import { join } from 'node:path';

import { runTool } from './tool.ts';
import type { ToolOptions } from './tool.ts';

/** Packages of this machine's Debian, unpacked into one tree below `within.directory`, and not installed: its path. */
export async function unpackDebian(
  packages: readonly string[],
  within: ToolOptions & { readonly directory: string },
): Promise<string> {
  await runTool('apt-get', ['download', ...packages], within);
  const archives = (await readdir(within.directory)).filter((name) => name.endsWith('.deb'));
  for (const archive of archives) await runTool('dpkg-deb', ['--extract', archive, 'unpacked'], within);
  return join(within.directory, 'unpacked');
}
