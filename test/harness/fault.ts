/** What a fault proxy does to an answer. Bytes are counted in the body. */
export type Fault =
  /** The server is not asked. */
  | { readonly kind: 'status'; readonly status: 500 | 503; readonly code: string }
  /** The connection ends in order, before the body is whole. */
  | { readonly kind: 'cut'; readonly afterBytes: number }
  /** The connection is reset (RST). */
  | { readonly kind: 'reset'; readonly afterBytes: number }
  /** Nothing comes, not even a header; the connection stays. */
  | { readonly kind: 'hang-before-header' }
  | { readonly kind: 'hang-in-body'; readonly afterBytes: number }
  | { readonly kind: 'slow'; readonly bytesPerSecond: number }
  /** All answers together get so much; those under way take turns. */
  | { readonly kind: 'capped'; readonly bytesPerSecond: number }
  /** The header announces so many bytes more than there are (or fewer), and then the connection ends. */
  | { readonly kind: 'wrong-length'; readonly byBytes: number }
  /** The answer is whole, and says that it is of another version. */
  | { readonly kind: 'wrong-etag'; readonly etag: string };

export type FaultKind = Fault['kind'];

export interface FaultRule {
  readonly fault: Fault;
  /** Of requests that match; 1 is every one. */
  readonly probability: number;
  readonly matches: (request: { readonly method: string; readonly url: string }) => boolean;
}

/** `GET`s of objects, and no LIST. */
export function objectGets({ method, url }: { readonly method: string; readonly url: string }): boolean {
  return method === 'GET' && !url.includes('list-type=');
}

/** `GET`s of one object. */
export function getsOf(key: string): FaultRule['matches'] {
  const path = `/${encodeURIComponent(key).replaceAll('%2F', '/')}`;
  return (request) => objectGets(request) && (request.url.split('?')[0] ?? '').endsWith(path);
}

export function everyRequest(): boolean {
  return true;
}
