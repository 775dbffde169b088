import { isIP } from 'node:net';

import { MillpoolError } from '@millpool/protocol';

/** Where a node listens for others. */
export interface TcpAddress {
  /** A name, or an address without brackets. */
  readonly host: string;
  /** 0, to listen: any that is free. */
  readonly port: number;
}

/** `HOST:PORT`, or `[V6]:PORT`. Throws `invalid`. */
export function parseTcpAddress(text: string): TcpAddress {
  const [, bracketed, plain, digits = ''] = /^(?:\[([0-9a-fA-F:.]+)\]|([^:\s[\]/@]+)):(\d{1,5})$/.exec(text) ?? [];
  const host = bracketed ?? plain;
  const port = Number(digits);
  const isRight = host !== undefined && port <= 65_535 && (bracketed === undefined || isIP(bracketed) === 6);
  if (isRight) return { host, port };
  throw new MillpoolError({
    code: 'invalid',
    message: `${JSON.stringify(text)} is not HOST:PORT`,
    remedy: 'Write the address as 10.0.0.7:7070, [fd00::7]:7070 or node-7:7070.',
  });
}

export function formatTcpAddress({ host, port }: TcpAddress): string {
  return isIP(host) === 6 ? `[${host}]:${port}` : `${host}:${port}`;
}

/** Only processes of this machine reach it. */
export function isLoopback({ host }: TcpAddress): boolean {
  return host === 'localhost' || host === '::1' || /^127\.\d{1,3}\.\d{1,3}\.\d{1,3}$/.test(host);
}
