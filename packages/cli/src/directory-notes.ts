import { open, readFile, rename } from 'node:fs/promises';
import { join } from 'node:path';

/** In each data directory: what a start has to know of the others, whichever of them are there. */
export const notesName = 'directories';
const format = 1;

/** A data directory as it was when it was last used. */
export interface DirectoryNote {
  readonly path: string;
  /** Of the filesystem that it lies on. */
  readonly mountPoint: string;
  /** What it was to hold. */
  readonly sizeBytes: number;
}

/** What the directories that can be read say, by path. A file that is not whole says nothing. */
export async function readNotes(directories: readonly string[]): Promise<ReadonlyMap<string, DirectoryNote>> {
  const notes = new Map<string, DirectoryNote>();
  for (const directory of directories) {
    const text = await readFile(join(directory, notesName), 'utf8').catch(() => '');
    for (const note of decoded(text)) if (!notes.has(note.path)) notes.set(note.path, note);
  }
  return notes;
}

/** Also a proof that something can be written there: rejects with why not. */
export async function writeNotes(directory: string, notes: readonly DirectoryNote[]): Promise<void> {
  const path = join(directory, notesName);
  const fresh = `${path}.new`;
  const file = await open(fresh, 'w', 0o600);
  try {
    await file.writeFile(JSON.stringify({ format, directories: notes }));
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(fresh, path);
}

function decoded(text: string): readonly DirectoryNote[] {
  try {
    const notes = JSON.parse(text) as { readonly format?: unknown; readonly directories?: unknown };
    return notes.format === format && Array.isArray(notes.directories) ? notes.directories.filter(isNote) : [];
  } catch (error) {
    if (error instanceof SyntaxError) return [];
    throw error;
  }
}

function isNote(note: Partial<DirectoryNote> | null): note is DirectoryNote {
  const isText = typeof note?.path === 'string' && typeof note.mountPoint === 'string';
  return isText && Number.isSafeInteger(note.sizeBytes);
}
