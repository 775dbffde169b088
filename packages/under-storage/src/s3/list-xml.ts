import { Buffer, isUtf8 } from 'node:buffer';

import type { BucketList, ListedObject } from './bucket-list.ts';

const rootStart = '<ListBucketResult';
const wholeNumber = /^\d{1,16}$/;
const instant = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z$/;
/** What makes the bytes of a name something else than the name. */
const changed = /[&%+\r\n]/;
/** What makes a text something else than its bytes. */
const special = /[&\r\n\x80-\xff]/;
const ofInterest = new Set(['Key', 'Size', 'ETag', 'LastModified']);
const named: Readonly<Record<string, string>> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" };

/**
 * Reads the answer to a LIST in the form in which servers send it: elements without attributes, text or elements in
 * each, nothing else. Null for everything that is not so, and for what only a real XML parser would get right: the
 * caller has one. A page of 1,000 keys costs a tenth of what that one takes.
 */
export function readListXml(body: Buffer): BucketList | null {
  if (!isUtf8(body)) return null;
  // One character a byte, so that places in the text are places in the body.
  const text = body.toString('latin1');
  const start = text.indexOf(rootStart);
  const begin = text.indexOf('>', start) + 1;
  const isPlain = start !== -1 && begin !== 0 && /^(?:<\?xml [^<>]*\?>)?\s*$/.test(text.slice(0, start));
  if (!isPlain || text[begin - 2] === '/' || text.includes('<!')) return null;
  try {
    return new ListXml(body, text).list(begin);
  } catch (thrown) {
    if (thrown instanceof Unexpected) return null;
    throw thrown;
  }
}

class Unexpected extends Error {}

class ListXml {
  readonly #body: Buffer;
  readonly #text: string;
  readonly #isEncoded: boolean;
  /** Of the last element that was entered: where its content begins, and the first `<` after that. */
  #from = 0;
  #to = 0;
  /** It has no closing tag. */
  #isEmpty = false;
  /** The last time that was read: many objects of a page have the same. */
  #time = { text: '', ms: Number.NaN };

  constructor(body: Buffer, text: string) {
    this.#body = body;
    this.#text = text;
    // May stand behind what it is about. No name holds a `<`.
    this.#isEncoded = text.includes('<EncodingType>url</EncodingType>');
  }

  list(begin: number): BucketList {
    const objects: ListedObject[] = [];
    const prefixes: Buffer[] = [];
    const told = new Map<string, string>();
    let at = this.#skipSpace(begin);
    while (!this.#isAt('</ListBucketResult>', at)) {
      if (this.#isAt('<Contents>', at)) at = this.#object(at + 10, objects);
      else if (this.#isAt('<CommonPrefixes>', at)) at = this.#prefix(at + 16, prefixes);
      else {
        const name = this.#enter(at);
        if (told.has(name)) throw new Unexpected();
        told.set(name, this.#scalar());
        at = this.#leave(name);
      }
      at = this.#skipSpace(at);
    }
    return {
      objects,
      prefixes,
      isList: told.has('IsTruncated') || told.has('Name') || told.has('KeyCount'),
      isTruncated: isTrue(told.get('IsTruncated') ?? 'false'),
      token: told.get('NextContinuationToken') ?? null,
    };
  }

  #object(begin: number, objects: ListedObject[]): number {
    let key: Buffer | null = null;
    let size: number | null = null;
    let etag: string | undefined;
    let mtimeMs: number | null = null;
    let at = this.#skipSpace(begin);
    while (!this.#isAt('</Contents>', at)) {
      const name = this.#enter(at);
      if (name === 'Key' && key === null) key = this.#name();
      else if (name === 'Size' && size === null) size = this.#number();
      else if (name === 'ETag' && etag === undefined) etag = this.#scalar();
      else if (name === 'LastModified' && mtimeMs === null) mtimeMs = this.#instant();
      else if (ofInterest.has(name)) throw new Unexpected();
      at = this.#skipSpace(this.#leave(name));
    }
    objects.push({ key, size, etag, mtimeMs });
    return at + 11;
  }

  #prefix(begin: number, prefixes: Buffer[]): number {
    const at = this.#skipSpace(begin);
    if (this.#enter(at) !== 'Prefix') throw new Unexpected();
    prefixes.push(this.#name());
    const end = this.#skipSpace(this.#leave('Prefix'));
    if (!this.#isAt('</CommonPrefixes>', end)) throw new Unexpected();
    return end + 17;
  }

  /** The name of the element that begins here. */
  #enter(at: number): string {
    const text = this.#text;
    const end = text.indexOf('>', at);
    if (text.charCodeAt(at) !== 0x3c || end === -1) throw new Unexpected();
    this.#isEmpty = text.charCodeAt(end - 1) === 0x2f;
    const name = text.slice(at + 1, this.#isEmpty ? end - 1 : end);
    if (!/^\w+$/.test(name)) throw new Unexpected();
    this.#from = end + 1;
    this.#to = this.#isEmpty ? this.#from : text.indexOf('<', this.#from);
    if (this.#to === -1) throw new Unexpected();
    return name;
  }

  /** Where the element ends that was entered; what it may hold is text, or elements that hold text. */
  #leave(name: string): number {
    if (this.#isEmpty) return this.#to;
    const close = `</${name}>`;
    if (this.#isAt(close, this.#to)) return this.#to + close.length;
    let at = this.#skipSpace(this.#from);
    while (!this.#isAt(close, at)) {
      const inner = `</${this.#enter(at)}>`;
      if (!this.#isEmpty && !this.#isAt(inner, this.#to)) throw new Unexpected();
      at = this.#skipSpace(this.#isEmpty ? this.#to : this.#to + inner.length);
    }
    return at + close.length;
  }

  #isAt(what: string, at: number): boolean {
    return this.#text.startsWith(what, at);
  }

  #skipSpace(at: number): number {
    let next = at;
    while (this.#text.charCodeAt(next) <= 0x20) next += 1;
    return next;
  }

  #scalar(): string {
    this.#checkText();
    const text = this.#text.slice(this.#from, this.#to);
    if (!special.test(text)) return text;
    return resolved(this.#body.toString('utf8', this.#from, this.#to));
  }

  #checkText(): void {
    if (!this.#isEmpty && this.#text.charCodeAt(this.#to + 1) !== 0x2f) throw new Unexpected();
  }

  #name(): Buffer {
    this.#checkText();
    const raw = this.#text.slice(this.#from, this.#to);
    if (!changed.test(raw)) return this.#body.subarray(this.#from, this.#to);
    const text = resolved(this.#body.toString('utf8', this.#from, this.#to));
    return Buffer.from(this.#isEncoded ? formDecoded(text) : text);
  }

  #number(): number {
    const text = this.#scalar();
    if (!wholeNumber.test(text)) throw new Unexpected();
    return Number(text);
  }

  #instant(): number {
    const text = this.#scalar();
    if (text !== this.#time.text) this.#time = { text, ms: instant.test(text) ? Date.parse(text) : Number.NaN };
    if (Number.isNaN(this.#time.ms)) throw new Unexpected();
    return this.#time.ms;
  }
}

function isTrue(text: string): boolean {
  if (text !== 'true' && text !== 'false') throw new Unexpected();
  return text === 'true';
}

/** S3 encodes like a form; a text that is not encoded after all is taken as it is. */
export function formDecoded(text: string): string {
  try {
    return decodeURIComponent(text.replaceAll('+', ' '));
  } catch {
    return text;
  }
}

/** With its entities as what they stand for. */
function resolved(text: string): string {
  // An ETag.
  if (text.startsWith('&quot;') && text.endsWith('&quot;') && text.indexOf('&', 1) === text.length - 6) {
    return `"${text.slice(6, -6)}"`;
  }
  // Ends of lines are for a parser that knows what becomes of them.
  if (/[\r\n]/.test(text)) throw new Unexpected();
  return text.replaceAll(/&([^;&]*);?/g, (whole, entity: string) => {
    const character = whole.endsWith(';') ? (named[entity] ?? numbered(entity)) : undefined;
    if (character === undefined) throw new Unexpected();
    return character;
  });
}

function numbered(entity: string): string | undefined {
  const [, hex, decimal] = /^#(?:x([0-9a-f]{1,6})|([0-9]{1,7}))$/i.exec(entity) ?? [];
  const code = hex === undefined ? Number(decimal) : Number.parseInt(hex, 16);
  return code > 0 && code <= 0x10ffff ? String.fromCodePoint(code) : undefined;
}
