import { connect } from '@millpool/client';
import type { Mill } from '@millpool/client';
import { MillpoolError } from '@millpool/protocol';
import type { Call } from '@millpool/protocol';
import { connectTransport } from '@millpool/transport';
import type { TransportConnection } from '@millpool/transport';

import { controlSocketOf } from './sockets.ts';

/** A command's connections to the daemon, made when first needed: control for questions, an SDK for bytes. */
export class Session {
  readonly #socket: string;
  readonly #timeoutSeconds: number;
  #control: Promise<TransportConnection> | null = null;
  #mill: Promise<Mill> | null = null;

  /** `timeoutSeconds`: of each call that brings no time of its own. */
  constructor(socket: string, timeoutSeconds: number) {
    this.#socket = socket;
    this.#timeoutSeconds = timeoutSeconds;
  }

  readonly call: Call = async (method, request, options) => {
    this.#control ??= connectTransport(controlSocketOf(this.#socket)).catch((error: unknown) => {
      // The next call tries again: a daemon that is starting does not answer yet.
      this.#control = null;
      throw error instanceof MillpoolError ? this.#ofSocket(error) : error;
    });
    return (await this.#control).call(method, request, { timeoutSeconds: this.#timeoutSeconds, ...options });
  };

  mill(): Promise<Mill> {
    return (this.#mill ??= connect({ socket: this.#socket, timeoutSeconds: this.#timeoutSeconds }));
  }

  /** People know the socket that they named, not the one beside it. */
  #ofSocket({ shape }: MillpoolError): MillpoolError {
    const message = shape.message.replace(controlSocketOf(this.#socket), this.#socket);
    return new MillpoolError({ ...shape, message, path: this.#socket });
  }

  async close(): Promise<void> {
    const open = await Promise.allSettled([this.#control, this.#mill]);
    for (const connection of open) {
      if (connection.status === 'fulfilled') await connection.value?.close();
    }
  }
}
