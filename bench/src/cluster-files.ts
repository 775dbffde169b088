import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

/** Small files in so many directories that every shard has some. Their paths below `/files`. */
export async function filesInDirectories(below: string, directories: number): Promise<readonly string[]> {
  const paths: string[] = [];
  for (let at = 0; at < directories; at += 1) {
    const name = `directory-${String(at).padStart(4, '0')}`;
    await mkdir(join(below, name), { recursive: true });
    await writeFile(join(below, name, 'file'), name);
    paths.push(`/files/${name}/file`);
  }
  return paths;
}
