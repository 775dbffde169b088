import { Packr, Unpackr } from 'msgpackr';
import { integer, membersOf, text } from './check.ts';
import { asMillpoolError, isErrorCode, MillpoolError } from './errors.ts';
import type { ErrorShape } from './errors.ts';
import type { Method, Reply, Request } from './methods.ts';
import { checkRequest, isMethod } from './request-checks.ts';
import { messageBytesMax } from './version.ts';

/**
 * Control bodies of both roads, flow frames and ws messages: MessagePack of plain maps and lists, each message whole in
 * itself (no shared records), so that a peer in any language can read it alone.
 *
 *   call   {method, request, timeoutMs}
 *   reply  {ok: …} or {error: {code, message, remedy, path?}}
 */
const packr = new Packr({ useRecords: false, encodeUndefinedAsNil: true });
const unpackr = new Unpackr({ useRecords: false, mapsAsObjects: true, int64AsType: 'number' });

/** A day: a wait that is longer is a mistake. */
export const callTimeoutMsMax = 86_400_000;

export type CheckedCall = {
  readonly [M in Method]: { readonly method: M; readonly request: Request<M>; readonly timeoutMs: number };
}[Method];

export function encodeCall<M extends Method>(method: M, request: Request<M>, timeoutMs: number): Uint8Array {
  return encode({ method, request, timeoutMs }, `the request of ${method}`);
}

/** Checked in every field; whatever is wrong is `invalid` and names it. */
export function decodeCall(body: Uint8Array): CheckedCall {
  const members = membersOf(decode(body), 'call');
  const method = text(members.get('method'), 'call.method');
  if (!isMethod(method)) {
    throw new MillpoolError({
      code: 'invalid',
      message: `there is no method ${JSON.stringify(method)}`,
      remedy: 'Compare the versions of client and daemon.',
    });
  }
  const timeoutMs = integer(1, callTimeoutMsMax)(members.get('timeoutMs'), 'call.timeoutMs');
  return { method, request: checkRequest(method, members.get('request')), timeoutMs } as CheckedCall;
}

/** A reply too large for one message becomes the error that says so. */
export function encodeReply(reply: unknown): Uint8Array {
  try {
    return encode({ ok: reply }, 'the reply');
  } catch (error) {
    return encodeFailure(error);
  }
}

export function encodeFailure(thrown: unknown): Uint8Array {
  return packr.pack({ error: asMillpoolError(thrown).shape });
}

/** The reply, or throws the error that the other side sent. Byte fields are views into `body`. */
export function decodeReply<M extends Method>(method: M, body: Uint8Array): Reply<M> {
  const members = membersOf(decode(body), `the reply of ${method}`);
  if (members.has('error')) throw new MillpoolError(errorShapeOf(members.get('error'), `the reply of ${method}`));
  if (!members.has('ok')) throw brokenMessage(`the reply of ${method} holds neither ok nor error`);
  return members.get('ok') as Reply<M>;
}

/** A code that this version does not know becomes `internal`. */
function errorShapeOf(value: unknown, field: string): ErrorShape {
  const members = membersOf(value, field);
  const code = members.get('code');
  const path = members.get('path');
  const shape = {
    code: isErrorCode(code) ? code : 'internal',
    message: String(members.get('message')),
    remedy: String(members.get('remedy')),
  } as const;
  return typeof path === 'string' ? { ...shape, path } : shape;
}

function encode(message: object, what: string): Uint8Array {
  const body = packr.pack(message);
  if (body.length <= messageBytesMax) return body;
  throw new MillpoolError({
    code: 'invalid',
    message: `${what} is ${body.length} bytes, more than the ${messageBytesMax} of one message`,
    remedy: 'Ask for fewer paths or entries at once.',
  });
}

function decode(body: Uint8Array): unknown {
  if (body.length > messageBytesMax) throw brokenMessage(`a message of ${body.length} bytes is over the limit`);
  try {
    return unpackr.unpack(body);
  } catch (error) {
    throw brokenMessage('a message is not MessagePack', error);
  }
}

function brokenMessage(message: string, cause?: unknown): MillpoolError {
  return new MillpoolError(
    { code: 'invalid', message, remedy: 'Compare the versions of client and daemon.' },
    { cause },
  );
}
