import { readFile } from 'node:fs/promises';

import { isBelow } from '@millpool/protocol';

/** Where filesystems are mounted, and where fstab says that some should be. */
export interface Mounts {
  readonly mounted: ReadonlySet<string>;
  readonly expected: ReadonlySet<string>;
}

/** Neither file is there in every container; then nothing is known of it. */
export async function readMounts(): Promise<Mounts> {
  const [mountinfo, fstab] = await Promise.all(['/proc/self/mountinfo', '/etc/fstab'].map(textOf));
  return { mounted: mountPointsOf(mountinfo ?? '', 4), expected: mountPointsOf(fstab ?? '', 1) };
}

function textOf(path: string): Promise<string> {
  return readFile(path, 'utf8').catch(() => '');
}

/** One a line, in a field of this number from 0. Blanks in it are octal numbers behind a backslash. */
export function mountPointsOf(text: string, field: number): ReadonlySet<string> {
  const lines = text.split('\n').filter((line) => !line.trimStart().startsWith('#'));
  const fields = lines.flatMap((line) => line.trim().split(/\s+/u)[field] ?? []);
  const plain = fields.map((point) => point.replace(/\\([0-7]{3})/gu, (_, octal: string) => characterOf(octal)));
  return new Set(plain.filter((point) => point.startsWith('/')));
}

function characterOf(octal: string): string {
  return String.fromCharCode(Number.parseInt(octal, 8));
}

/** The innermost of these that a path is at or below; null: none. */
export function mountPointOf(path: string, points: ReadonlySet<string>): string | null {
  const above = [...points].filter((point) => path === point || isBelow(path, point));
  return above.toSorted((a, b) => b.length - a.length)[0] ?? null;
}
