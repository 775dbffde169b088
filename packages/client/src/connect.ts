import { defaultSocket } from '@millpool/host';
import { FlowClient } from '@millpool/native';
import { MillpoolError } from '@millpool/protocol';

import { Mill } from './mill.ts';

const defaultTimeoutSeconds = 30;
const defaultRingBytes = 1024 ** 3;

export interface ConnectOptions {
  /** The daemon's socket; without it MILLPOOL_SOCKET, then the node's default socket. */
  readonly socket?: string;
  /** Of every call that brings none of its own: 30 s without it. */
  readonly timeoutSeconds?: number;
  /** Memory for batches, in use and read ahead: 1 GiB without it. It is taken only as it is needed. */
  readonly ringBytes?: number;
}

/** Connects to this node's daemon. Throws `unreachable` where none answers. */
export async function connect(options: ConnectOptions = {}): Promise<Mill> {
  const timeoutSeconds = options.timeoutSeconds ?? defaultTimeoutSeconds;
  if (!(timeoutSeconds > 0)) {
    throw new MillpoolError({
      code: 'invalid',
      message: `timeoutSeconds is ${timeoutSeconds}.`,
      remedy: 'Give a number of seconds above 0.',
    });
  }
  const flow = await FlowClient.connect({
    socket: options.socket ?? process.env['MILLPOOL_SOCKET'] ?? defaultSocket(),
    timeoutMs: timeoutSeconds * 1000,
    ringBytes: options.ringBytes ?? defaultRingBytes,
  });
  return new Mill(flow, timeoutSeconds);
}
