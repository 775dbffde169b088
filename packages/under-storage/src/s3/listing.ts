import { Buffer } from 'node:buffer';

import { startsWith } from '../key.ts';
import { SourceFiles } from '../source-files.ts';
import type { ListPage } from '../under-storage.ts';
import type { Bucket } from './bucket.ts';
import type { ListAnswer } from './list-answer.ts';
import { brokenAnswer } from './s3-error.ts';

/** The most that S3 gives at once. */
const keysMax = 1000;
/** Greater than every byte of UTF-8. */
const beyond = Buffer.of(0xff);
const slash = Buffer.from('/');

interface Level {
  readonly prefix: Buffer;
  readonly after: Buffer | null;
  readonly limit: number;
}

/** Asks a bucket for pages of its keys in the contract's sense. Holds nothing between two pages. */
export class Listing {
  readonly #bucket: Bucket;
  readonly #signal: AbortSignal;

  constructor(bucket: Bucket, signal: AbortSignal) {
    this.#bucket = bucket;
    this.#signal = signal;
  }

  async flat(level: Level): Promise<ListPage> {
    return pageOf(await this.#answer(level, false));
  }

  /**
   * What is directly below a prefix. In the namespace the slashes that follow a slash begin a name (`a//b` is `/b` in
   * `a/`), while S3 rolls such keys up into the prefix `a//`: so that one is listed in the place where it stands.
   */
  async directory(level: Level): Promise<ListPage> {
    const { prefix, after, limit } = level;
    const slashed = Buffer.concat([prefix, slash]);
    const past = Buffer.concat([slashed, beyond]);
    if (after !== null && startsWith(after, slashed) && after.compare(past) < 0) {
      const page = await this.directory({ prefix: slashed, after, limit });
      return { ...page, next: page.next ?? past };
    }
    const page = pageOf(await this.#answer(level, true));
    if (!page.directories.some((directory) => slashed.equals(directory))) return page;
    const before = pageBefore(page, slashed);
    const left = limit - before.files.length - before.directories.length;
    if (left === 0) return before;
    const within = await this.directory({ prefix: slashed, after: null, limit: left });
    return {
      files: SourceFiles.of([...before.files, ...within.files]),
      directories: [...before.directories, ...within.directories],
      skipped: [...before.skipped, ...within.skipped],
      next: within.next ?? past,
    };
  }

  /** One answer with what comes after `after`, for which a server that begins too early is asked more than once. */
  async #answer({ prefix, after, limit }: Level, delimited: boolean): Promise<ListAnswer> {
    const query = {
      prefix: prefix.toString(),
      startAfter: after === null ? null : startAfter(after),
      delimited,
      keysMax: Math.min(limit, keysMax),
    };
    for (let token: string | null = null; ;) {
      const answer = await this.#bucket.list({ ...query, token }, this.#signal);
      const progress = after === null || (answer.last !== null && answer.last.compare(after) > 0);
      if (!answer.truncated || (progress && answer.last !== null)) return answerAfter(answer, after);
      if (answer.token === null || answer.token === token) {
        const doing = `the LIST of s3://${this.#bucket.address.bucket}/${query.prefix}`;
        throw brokenAnswer(this.#bucket.address, doing, 'does not get on');
      }
      token = answer.token;
    }
  }
}

/**
 * The last UTF-8 text that is not after any key that is after these bytes. Only `beyond` at the end of a prefix needs
 * it: no character is greater than U+10FFFF.
 */
function startAfter(after: Buffer): string {
  return after.at(-1) === beyond[0] ? `${after.subarray(0, -1).toString()}\u{10ffff}` : after.toString();
}

function answerAfter(answer: ListAnswer, after: Buffer | null): ListAnswer {
  if (after === null) return answer;
  return {
    ...answer,
    files: answer.files.slice(answer.files.countUpTo(after)),
    directories: answer.directories.filter((directory) => after.compare(directory) < 0),
    skipped: answer.skipped.filter(({ key }) => after.compare(key) < 0),
  };
}

function pageOf({ files, directories, skipped, last, truncated }: ListAnswer): ListPage {
  return { files, directories, skipped, next: truncated ? last : null };
}

function pageBefore(page: ListPage, end: Buffer): ListPage {
  const files = page.files.slice(0, page.files.countUpTo(end));
  const directories = page.directories.filter((directory) => end.compare(directory) > 0);
  const skipped = page.skipped.filter(({ key }) => end.compare(key) > 0);
  const last = files.length === 0 ? [] : [files.key(files.length - 1)];
  const keys = [...last, ...directories.map((key) => Buffer.from(key))];
  const next = keys.sort((one, other) => one.compare(other)).at(-1) ?? null;
  return { files, directories, skipped, next };
}
