import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import type { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';

import { MillpoolError } from '@millpool/protocol';

/**
 * Both sides prove that they know the cluster's token before anything else is said, and neither says it. Over TLS the
 * proof is of this very connection, so that whoever sits in between cannot pass it on.
 *
 *     server: 4 bytes "mlp1", 32 random
 *     client: 32 random, HMAC-SHA256(token, "client" | server's random | client's random | binding)
 *     server: HMAC-SHA256(token, "server" | the same), or 32 zero bytes: the token is another one
 *
 * The binding is 32 bytes of the TLS exporter (RFC 5705), or nothing without TLS.
 */
const greeting = Buffer.from('mlp1');
const randomLength = 32;
const proofLength = 32;
const exporterLabel = 'EXPORTER-millpool-cluster';

/** The server's side. False: the other one does not know the token, and was told so. */
export async function admit(socket: Socket, token: Buffer, signal: AbortSignal): Promise<boolean> {
  const ours = randomBytes(randomLength);
  socket.write(Buffer.concat([greeting, ours]));
  const answer = await take(socket, randomLength + proofLength, signal);
  const theirs = answer.subarray(0, randomLength);
  const said = Buffer.concat([ours, theirs, bindingOf(socket)]);
  const isKnown = timingSafeEqual(answer.subarray(randomLength), proofOf(token, 'client', said));
  socket.write(isKnown ? proofOf(token, 'server', said) : Buffer.alloc(proofLength));
  return isKnown;
}

/** The client's side. `refused` where either does not know the other's token. */
export async function introduce(socket: Socket, token: Buffer, signal: AbortSignal): Promise<void> {
  const hello = await take(socket, greeting.length + randomLength, signal);
  if (!hello.subarray(0, greeting.length).equals(greeting)) throw strangeGreeting();
  const ours = randomBytes(randomLength);
  const said = Buffer.concat([hello.subarray(greeting.length), ours, bindingOf(socket)]);
  socket.write(Buffer.concat([ours, proofOf(token, 'client', said)]));
  const proof = await take(socket, proofLength, signal);
  if (!timingSafeEqual(proof, proofOf(token, 'server', said))) throw otherToken();
}

function proofOf(token: Buffer, side: 'client' | 'server', said: Buffer): Buffer {
  return createHmac('sha256', token).update(side).update(said).digest();
}

function bindingOf(socket: Socket): Buffer {
  if (!(socket instanceof TLSSocket)) return Buffer.alloc(0);
  return socket.exportKeyingMaterial(randomLength, exporterLabel, Buffer.alloc(0));
}

/** So many bytes, however they come; what comes after them stays. */
function take(socket: Socket, length: number, signal: AbortSignal): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const settled = (): void => {
      socket.off('readable', onReadable).off('error', onError).off('close', onClose);
      signal.removeEventListener('abort', onAbort);
    };
    const onReadable = (): void => {
      const bytes = socket.read(length) as Buffer | null;
      // At its end a stream gives what is left, which may be less.
      if (bytes === null) return;
      settled();
      if (bytes.length === length) resolve(bytes);
      else reject(endedEarly());
    };
    const onError = (error: Error): void => (settled(), reject(error));
    const onClose = (): void => (settled(), reject(endedEarly()));
    const onAbort = (): void => (settled(), reject(signal.reason as Error));
    socket.on('readable', onReadable).on('error', onError).on('close', onClose);
    signal.addEventListener('abort', onAbort);
    onReadable();
  });
}

function strangeGreeting(): MillpoolError {
  return new MillpoolError({
    code: 'unsupported',
    message: 'it does not greet as a node of a cluster with a token does',
    remedy: 'See that the port is that of a node, and that it has a token too.',
  });
}

function otherToken(): MillpoolError {
  return new MillpoolError({
    code: 'refused',
    message: 'it knows another token',
    remedy: 'Give all nodes of the cluster the same token file.',
  });
}

function endedEarly(): MillpoolError {
  return new MillpoolError({
    code: 'unreachable',
    message: 'it ended the connection before both sides had shown who they are',
    remedy: 'See its log.',
  });
}
