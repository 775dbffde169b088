import { messageBytesMax, protocolVersion } from '@millpool/protocol';

/** What both sides offer as the WebSocket subprotocol; a server that does not speak it answers 426 with its own. */
export const subprotocol = `millpool.${protocolVersion}`;
export const subprotocolHeader = 'millpool-subprotocol';

/**
 * One ws message, binary: u8 kind, u32 id (little endian), then the body of protocol's codec. The caller chooses the
 * ids; one may be used again after its reply. A cancel has no body and is not answered by itself: the call's reply is.
 */
export interface Message {
  readonly kind: 'call' | 'reply' | 'cancel';
  readonly id: number;
  readonly body: Uint8Array;
}

const kinds = ['call', 'reply', 'cancel'] as const;
const headBytes = 5;

export const messagePayloadMax = headBytes + messageBytesMax;
export const idMax = 2 ** 32 - 1;

export function encodeMessage({ kind, id, body }: Message): Uint8Array {
  const message = Buffer.allocUnsafe(headBytes + body.length);
  message.writeUInt8(kinds.indexOf(kind));
  message.writeUInt32LE(id, 1);
  message.set(body, headBytes);
  return message;
}

/** Null: not a message; the connection that brought it cannot be trusted any further. */
export function decodeMessage(bytes: Buffer): Message | null {
  if (bytes.length < headBytes) return null;
  const kind = kinds[bytes.readUInt8()];
  return kind === undefined ? null : { kind, id: bytes.readUInt32LE(1), body: bytes.subarray(headBytes) };
}
