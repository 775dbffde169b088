import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import type { AddressInfo, Server, Socket } from 'node:net';

/** Stands before a TCP server. While it is cut, connections stay and bytes of either side come to nobody. */
export class CutProxy {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #isCut = false;
  #swallowedBytes = 0;

  private constructor(port: number) {
    this.#server = createServer((near) => {
      const far = connect(port, '127.0.0.1');
      this.#carry(near, far);
      this.#carry(far, near);
    });
  }

  static async start(port: number): Promise<CutProxy> {
    const proxy = new CutProxy(port);
    await once(proxy.#server.listen(0, '127.0.0.1'), 'listening');
    return proxy;
  }

  /** `host:port` */
  get endpoint(): string {
    return `127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** Since the cut: what shows that it is in force. */
  get swallowedBytes(): number {
    return this.#swallowedBytes;
  }

  cut(): void {
    this.#isCut = true;
    this.#swallowedBytes = 0;
  }

  /** Connections that lost bytes end; new ones are carried. */
  mend(): void {
    this.#isCut = false;
    for (const socket of this.#sockets) socket.destroy();
  }

  async stop(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
    await once(this.#server, 'close');
  }

  #carry(from: Socket, to: Socket): void {
    this.#sockets.add(from);
    from.on('data', (bytes: Buffer) => {
      if (this.#isCut) this.#swallowedBytes += bytes.length;
      else if (!to.destroyed) to.write(bytes);
    });
    from.on('error', () => from.destroy());
    from.once('close', () => {
      this.#sockets.delete(from);
      if (!this.#isCut) to.destroy();
    });
  }
}
