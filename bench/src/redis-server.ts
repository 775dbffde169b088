import { join } from 'node:path';

import { ServerProcess } from '@millpool/test/harness';
import type { RedisBinary } from '@millpool/test/harness';

/** A redis-server that keeps all in memory and writes nothing, on a Unix socket. */
export class RedisServer implements AsyncDisposable {
  readonly socket: string;
  readonly #process: ServerProcess;

  private constructor(socket: string, started: ServerProcess) {
    this.socket = socket;
    this.#process = started;
  }

  static async start({ program, env }: RedisBinary, directory: string): Promise<RedisServer> {
    const socket = join(directory, 'redis.sock');
    const kept = ['--save', '', '--appendonly', 'no', '--dir', directory];
    const args = (port: number): readonly string[] => [
      ...['--port', String(port), '--bind', '127.0.0.1', '--unixsocket', socket],
      ...kept,
    ];
    return new RedisServer(socket, await ServerProcess.start(program, args, env));
  }

  get pid(): number {
    return this.#process.pid;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#process.stop();
  }
}
