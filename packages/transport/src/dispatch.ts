import { systemClock, withDeadline } from '@millpool/host';
import { clusterMethods, decodeCall, encodeFailure, encodeReply, MillpoolError } from '@millpool/protocol';
import type { Handlers, Method, Reply, Request } from '@millpool/protocol';

/**
 * One control body in, one out; never rejects. The request is checked before a handler sees it, the handler's signal
 * aborts at the caller's deadline or with `signal`, and whatever goes wrong travels back as an error. Both roads, flow
 * frames and ws messages, end here.
 */
export async function dispatch(
  handlers: Partial<Handlers>,
  body: Uint8Array,
  signal: AbortSignal,
  turns: Turns = atOnce,
): Promise<Uint8Array> {
  try {
    if (body.length < largeBytes) return await answer(handlers, body, signal);
    return await turns.run(body.length, signal, (inTurn) => answer(handlers, body, inTurn));
  } catch (error) {
    return encodeFailure(error);
  }
}

/** Lets those begin that find room, the others later. */
export interface Turns {
  run<T>(bytes: number, signal: AbortSignal, work: (signal: AbortSignal) => Promise<T>): Promise<T>;
}

const atOnce: Turns = { run: (_bytes, signal, work) => work(signal) };

/** A body of so much is decoded in its turn: its lists take more of the heap than it has bytes. */
const largeBytes = 64 * 1024;

async function answer(handlers: Partial<Handlers>, body: Uint8Array, signal: AbortSignal): Promise<Uint8Array> {
  const call = decodeCall(body);
  const name = `the daemon to do ${call.method}${subjectOf(call.request)}`;
  const wait = { name, timeoutMs: call.timeoutMs, clock: systemClock, signal };
  return encodeReply(await withDeadline(wait, (ended) => run<Method>(handlers, call, ended)));
}

/** The path that a request is about, for the name of the wait. */
function subjectOf(request: Request<Method>): string {
  const [path] = 'paths' in request ? request.paths : 'path' in request ? [request.path] : [];
  return typeof path === 'string' ? ` of ${path}` : '';
}

async function run<M extends Method>(
  handlers: Partial<Handlers>,
  { method, request }: { readonly method: M; readonly request: Request<M> },
  signal: AbortSignal,
): Promise<Reply<M>> {
  const handler: Handlers[M] | undefined = handlers[method];
  if (handler === undefined) throw notAnswered(method);
  return handler(request, { signal });
}

/** By one that does less than another. */
function notAnswered(method: Method): MillpoolError {
  if (clusterMethods.some((known) => known === method)) {
    return new MillpoolError({
      code: 'unsupported',
      message: 'this daemon is of no cluster',
      remedy: 'Name the socket of one that is with --socket, or start it with --cluster etcd://HOST:2379.',
    });
  }
  return new MillpoolError({
    code: 'unsupported',
    message: `this daemon does not answer ${method}: it serves metadata alone, or other nodes`,
    remedy: 'Ask one that keeps bytes; of the cluster itself, `millpool admin` tells.',
  });
}
