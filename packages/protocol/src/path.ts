import { MillpoolError } from './errors.ts';
import { bytesOfName, nameOfBytes } from './name.ts';

/** Of a path in normal form, in bytes of UTF-8. */
export const pathBytesMax = 4096;

const scheme = 'millpool://';
const slash = 0x2f;
const encoder = new TextEncoder();

/** Text that is certainly in normal form, and short enough whatever its characters are. */
const plainPath = /^(?:\/(?!\.\.?(?:\/|$))[^/%\u{10000}-\u{10ffff}\p{Surrogate}]+)+$/u;
const plainLengthMax = Math.floor(pathBytesMax / 3);

/**
 * The normal form of a path that somebody wrote: absolute, no empty part, no `.` or `..`, every name as `nameOfBytes`
 * writes it, so that two paths name one thing exactly when they are equal. A `millpool://` URL is the same path; one
 * slash at the end is dropped. Anything else is `invalid`.
 */
export function parsePath(text: string): string {
  if (text.length <= plainLengthMax && plainPath.test(text)) return text;
  const path = text.startsWith(scheme) ? `/${text.slice(scheme.length).replace(/^\//, '')}` : text;
  if (!path.startsWith('/')) throw badPath(text, 'is not absolute', 'Write it from the root: /NAME/….');
  if (/\p{Surrogate}/u.test(path)) throw badPath(text, 'holds half of a surrogate pair', encodedRemedy);
  if (path === '/') return path;
  const relative = path.slice(1).replace(/\/$/, '');
  for (const name of relative.split('/')) {
    if (name === '') throw badPath(text, 'has an empty part', encodedRemedy);
    if (name === '.' || name === '..') throw badPath(text, `has a part "${name}"`, encodedRemedy);
  }
  const normal = `/${pathOfKey(keyOfPath(relative))}`;
  if (encoder.encode(normal).length > pathBytesMax) {
    throw badPath(`${text.slice(0, 60)}…`, `is longer than ${pathBytesMax} bytes`, 'Use a shorter one.');
  }
  return normal;
}

/** The same path as a URL. */
export function urlOfPath(path: string): string {
  return `millpool:/${path}`;
}

/** `name` may be several names with slashes between them; both are in normal form. */
export function joinPath(directory: string, name: string): string {
  return directory === '/' ? `/${name}` : `${directory}/${name}`;
}

/** `/` is its own parent. */
export function parentOf(path: string): string {
  return path.slice(0, Math.max(1, path.lastIndexOf('/')));
}

/** The last name; empty for `/`. */
export function nameOf(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1);
}

/** True strictly below: no path is below itself. */
export function isBelow(path: string, ancestor: string): boolean {
  if (ancestor === '/') return path !== '/';
  return path.length > ancestor.length && path.startsWith(ancestor) && path.charCodeAt(ancestor.length) === slash;
}

/** What leads from `ancestor` to a path below it, without a slash at its start. */
export function pathBelow(path: string, ancestor: string): string {
  return path.slice(ancestor === '/' ? 1 : ancestor.length + 1);
}

/** Order of the UTF-8 bytes, which JavaScript's `<` is not beyond U+FFFF. */
export function comparePaths(left: string, right: string): number {
  const length = Math.min(left.length, right.length);
  for (let at = 0; at < length; at += 1) {
    const difference = byteOrderOf(left.charCodeAt(at)) - byteOrderOf(right.charCodeAt(at));
    if (difference !== 0) return difference;
  }
  return left.length - right.length;
}

/** The source key (below an attachment's source) of a path below its attachment; empty for the attachment itself. */
export function keyOfPath(relativePath: string): Uint8Array {
  if (!relativePath.includes('%')) return encoder.encode(relativePath);
  const names = relativePath.split('/').map(bytesOfName);
  const key = new Uint8Array(names.reduce((length, name) => length + name.length + 1, -1));
  let at = 0;
  for (const name of names) {
    key.set(name, at);
    at += name.length;
    if (at < key.length) key[at] = slash;
    at += 1;
  }
  return key;
}

/**
 * The path below an attachment of a source key: the inverse of `keyOfPath`, for every byte string. A slash that follows
 * another slash, begins the key or ends it belongs to a name: `a//b` is `a/%2Fb`, `/x` is `%2Fx`, `a/` is `a%2F`.
 */
export function pathOfKey(key: Uint8Array): string {
  const names: string[] = [];
  let start = 0;
  while (start < key.length) {
    const end = nameEnd(key, start);
    names.push(nameOfBytes(key.subarray(start, end)));
    start = end + 1;
  }
  return names.join('/');
}

/** End of the name at `start`: its leading slashes, its other bytes, and slashes that nothing follows. */
function nameEnd(key: Uint8Array, start: number): number {
  let end = start;
  while (end < key.length && key[end] === slash) end += 1;
  while (end < key.length && key[end] !== slash) end += 1;
  let after = end;
  while (after < key.length && key[after] === slash) after += 1;
  return after === key.length ? after : end;
}

/** UTF-16 code units in the order of the code points that they begin: surrogates after U+E000–U+FFFF. */
function byteOrderOf(unit: number): number {
  if (unit < 0xd800) return unit;
  return unit < 0xe000 ? unit + 0x2000 : unit - 0x800;
}

const encodedRemedy =
  'A path is absolute, /-separated UTF-8; other bytes of a source key are written %HH, a repeated slash %2F, . as %2E.';

function badPath(text: string, fault: string, remedy: string): MillpoolError {
  return new MillpoolError({
    code: 'invalid',
    message: `the path ${JSON.stringify(text)} ${fault}`,
    remedy,
    path: text,
  });
}
