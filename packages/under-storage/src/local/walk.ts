import { SourceFiles } from '../source-files.ts';
import type { SourceFile } from '../source-files.ts';
import type { ListPage, Skipped } from '../under-storage.ts';
import { bytesOf } from './folder.ts';
import type { ByteString, Chain, Children, Folder } from './folder.ts';

/** A directory that is being listed, and how far that has come. */
interface Frame {
  readonly prefix: ByteString;
  readonly chain: Chain;
  readonly children: Children;
  at: number;
}

export interface WalkRequest {
  readonly prefix: ByteString;
  readonly recursive: boolean;
  readonly after: ByteString | null;
}

/** Asked for at once; the thread pool of Node does four of them at a time. */
const statsAtOnce = 128;

/**
 * A listing of a folder under way. It holds the names of the directories from its prefix to where it stands, and
 * nothing of those that it has left. Depth first, a directory ordered by its name with `/`, is the order of the whole
 * keys' bytes.
 */
export class Walk {
  readonly #folder: Folder;
  readonly #recursive: boolean;
  readonly #after: ByteString | null;
  readonly #stack: Frame[] = [];
  /** The last key or prefix that was passed. */
  #last: ByteString;
  #skipped: Skipped[] = [];

  private constructor(folder: Folder, request: WalkRequest) {
    this.#folder = folder;
    this.#recursive = request.recursive;
    this.#after = request.after;
    this.#last = request.after ?? request.prefix;
  }

  static async start(folder: Folder, request: WalkRequest): Promise<Walk> {
    const walk = new Walk(folder, request);
    const chain = await folder.chainTo(request.prefix);
    if (chain !== null) await walk.#enter(request.prefix, chain);
    return walk;
  }

  /** Passes at most `steps` files and directories. */
  async page(steps: number, signal: AbortSignal): Promise<ListPage> {
    const files: { key: ByteString; isLink: boolean }[] = [];
    const directories: Uint8Array[] = [];
    for (let left = steps; left > 0 && this.#top() !== undefined;) {
      signal.throwIfAborted();
      const { frame, name } = this.#pass();
      const key = frame.prefix + name;
      // The directories that `after` lies in are gone into again: no progress.
      if (key > this.#last) {
        this.#last = key;
        left -= 1;
      }
      if (!name.endsWith('/')) files.push({ key, isLink: frame.children.links.has(name) });
      else if (this.#recursive) await this.#descend(frame, name.slice(0, -1));
      else directories.push(bytesOf(key));
    }
    const skipped = this.#skipped;
    this.#skipped = [];
    const next = this.#top() === undefined ? null : bytesOf(this.#last);
    return { files: SourceFiles.of(await this.#stat(files, signal)), directories, skipped, next };
  }

  /** The innermost directory that is not at its end; drops those that are. */
  #top(): Frame | undefined {
    let frame = this.#stack.at(-1);
    while (frame !== undefined && frame.at === frame.children.names.length) {
      this.#stack.pop();
      frame = this.#stack.at(-1);
    }
    return frame;
  }

  #pass(): { frame: Frame; name: ByteString } {
    const frame = this.#top();
    const name = frame?.children.names[frame.at];
    if (frame === undefined || name === undefined) throw new RangeError('a walk was taken beyond its end');
    frame.at += 1;
    return { frame, name };
  }

  async #descend(frame: Frame, name: ByteString): Promise<void> {
    const chain = await this.#folder.descend(frame.prefix, name, frame.chain, frame.children.links.has(name));
    if (chain !== null) await this.#enter(`${frame.prefix}${name}/`, chain);
  }

  async #enter(prefix: ByteString, chain: Chain): Promise<void> {
    const children = await this.#folder.children(prefix, chain);
    if (children === null) return;
    const after = this.#after;
    this.#stack.push({ prefix, chain, children, at: after === null ? 0 : this.#firstAfter(after, prefix, children) });
    for (const { name, why } of children.skipped) {
      const key = prefix + name;
      if (after === null || key > after) this.#skipped.push({ key: bytesOf(key), why });
    }
  }

  /** A recursive walk goes again into the directory that `after` lies in. */
  #firstAfter(after: ByteString, prefix: ByteString, { names }: Children): number {
    let low = 0;
    let high = names.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (prefix + names[middle] > after) high = middle;
      else low = middle + 1;
    }
    const before = names[low - 1];
    const holdsAfter = before !== undefined && before.endsWith('/') && after.startsWith(prefix + before);
    return this.#recursive && holdsAfter ? low - 1 : low;
  }

  async #stat(files: readonly { key: ByteString; isLink: boolean }[], signal: AbortSignal): Promise<SourceFile[]> {
    const found: SourceFile[] = [];
    for (let from = 0; from < files.length; from += statsAtOnce) {
      signal.throwIfAborted();
      const some = files.slice(from, from + statsAtOnce);
      const stats = await Promise.all(some.map(({ key, isLink }) => this.#folder.file(key, isLink)));
      found.push(...stats.filter((file) => file !== null));
    }
    return found;
  }
}
