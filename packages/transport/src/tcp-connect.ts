import { connect as connectTcpSocket } from 'node:net';
import type { Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { systemClock, withDeadline } from '@millpool/host';
import { asMillpoolError, MillpoolError } from '@millpool/protocol';
import { connectTimeoutMs, openConnection } from './connect.ts';
import type { TransportConnection } from './connect.ts';
import { introduce } from './handshake.ts';
import { endWhenSilent } from './heartbeat.ts';
import { formatTcpAddress } from './tcp-address.ts';
import type { TcpAddress } from './tcp-address.ts';
import type { Trust } from './trust.ts';

/**
 * Connects to the node that listens there. `unreachable` where none does, `refused` where the two do not trust each
 * other, `unsupported` for another version or another program.
 */
export async function connectTcp(address: TcpAddress, trust: Trust | null): Promise<TransportConnection> {
  const name = formatTcpAddress(address);
  const wait = { name: `the node at ${name} to answer`, timeoutMs: connectTimeoutMs, clock: systemClock };
  const raw = open(address, trust);
  // Whoever has it listens too.
  raw.on('error', () => {});
  try {
    await withDeadline(wait, async (signal) => {
      await connected(raw, trust);
      if (trust !== null && trust.token !== null) await introduce(raw, trust.token, signal);
    });
  } catch (thrown) {
    raw.destroy();
    throw failure(name, thrown);
  }
  return openConnection({ name, raw: () => raw, failure: (error) => failure(name, error), began: endWhenSilent });
}

function open({ host, port }: TcpAddress, trust: Trust | null): Socket {
  if (trust === null || trust.tls === null) return connectTcpSocket({ host, port, noDelay: true, keepAlive: true });
  const { authority, certificate: cert, key } = trust.tls;
  const socket = connectTls({ host, port, cert, key, ...(authority === null ? {} : { ca: authority }) });
  return socket.setNoDelay(true).setKeepAlive(true);
}

function connected(socket: Socket, trust: Trust | null): Promise<void> {
  const event = trust === null || trust.tls === null ? 'connect' : 'secureConnect';
  return new Promise((resolve, reject) => socket.once(event, resolve).once('error', reject));
}

const nobodyThere = new Set(['ECONNREFUSED', 'ECONNRESET', 'EHOSTUNREACH', 'ENETUNREACH', 'ETIMEDOUT', 'EPIPE']);

function failure(name: string, thrown: unknown): MillpoolError {
  if (thrown instanceof MillpoolError) {
    if (thrown.message.includes(name)) return thrown;
    return new MillpoolError({ ...thrown.shape, message: `the node at ${name}: ${thrown.message}` }, { cause: thrown });
  }
  const { code = '', message } = thrown as NodeJS.ErrnoException;
  if (nobodyThere.has(code) || code === 'ENOTFOUND' || code === 'EAI_AGAIN') {
    const why = `no node answers at ${name} (${code})`;
    const remedy = 'See `millpool admin nodes`, and whether the network lets this machine through.';
    return new MillpoolError({ code: 'unreachable', message: why, remedy }, { cause: thrown });
  }
  if (code.startsWith('HPE_')) {
    const why = `the node at ${name} answers with something else than was expected`;
    const remedy = 'Where it has a token or certificates, give this one the same.';
    return new MillpoolError({ code: 'refused', message: why, remedy }, { cause: thrown });
  }
  if (code.startsWith('ERR_TLS') || code.startsWith('ERR_SSL') || /certificate|CERT/.test(`${code} ${message}`)) {
    const why = `the node at ${name} is not trusted: ${message}`;
    const remedy = 'Name the authority that signed its certificate, and see that the certificate is for that name.';
    return new MillpoolError({ code: 'refused', message: why, remedy }, { cause: thrown });
  }
  const { shape } = asMillpoolError(thrown);
  const remedy = 'See the log of that node.';
  return new MillpoolError({ ...shape, code: 'unreachable', message: `the node at ${name}: ${message}`, remedy });
}
