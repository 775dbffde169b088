import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

import { freePort } from '@millpool/test/harness';
import { MillpoolError } from '@millpool/protocol';

import type { DemoNode } from './epochs.ts';

const python = fileURLToPath(new URL('../../../packages/python/', import.meta.url));
const example = `${python}examples/train_images.py`;
const stderrBytesMax = 16 << 10;

/** The example that trains, in as many processes as are asked for. */
export class Trainer {
  readonly #program: string;
  readonly #node: DemoNode;
  readonly #stop: AbortSignal;

  constructor(program: string, node: DemoNode, stop: AbortSignal) {
    this.#program = program;
    this.#node = node;
    this.#stop = stop;
  }

  /** Resolves with what the first of them said to people, when all have ended well. */
  async run(args: readonly string[], world: number, onLine: (line: object) => void = () => undefined): Promise<string> {
    const port = String(await freePort());
    const rendezvous = { WORLD_SIZE: String(world), MASTER_ADDR: '127.0.0.1', MASTER_PORT: port };
    const one = new AbortController();
    const signal = AbortSignal.any([this.#stop, one.signal]);
    const ranks = Array.from({ length: world }, (_, rank) =>
      this.#rank(args, { env: { ...rendezvous, RANK: String(rank) }, onLine, signal }),
    );
    // Without one of them the others would wait for ever.
    for (const rank of ranks) rank.catch(() => one.abort());
    const said = await Promise.allSettled(ranks);
    this.#stop.throwIfAborted();
    for (const end of said) if (end.status === 'rejected' && end.reason instanceof MillpoolError) throw end.reason;
    const [first] = await Promise.all(ranks);
    return first ?? '';
  }

  #rank(
    args: readonly string[],
    how: { env: Readonly<Record<string, string>>; onLine: (line: object) => void; signal: AbortSignal },
  ): Promise<string> {
    const { root, socket } = this.#node;
    const data = ['--train', `${root}/train`, '--test', `${root}/test`, '--json'];
    const paths = { PYTHONPATH: `${python}src`, MILLPOOL_SOCKET: socket };
    const child = spawn(this.#program, [example, ...data, ...args], {
      env: { ...process.env, ...paths, ...how.env },
      stdio: ['ignore', 'pipe', 'pipe'],
      signal: how.signal,
    });
    let stderr = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr = (stderr + text).slice(-stderrBytesMax)));
    createInterface({ input: child.stdout }).on('line', (line) => how.onLine(JSON.parse(line) as object));
    return new Promise((resolve, reject) => {
      child.once('error', reject);
      child.once('close', (code) => {
        if (code === 0) resolve(stderr.trim());
        else reject(failure(stderr));
      });
    });
  }
}

function failure(stderr: string): MillpoolError {
  return new MillpoolError({
    code: 'internal',
    message: `The training script failed: ${stderr.trim().split('\n').at(-1) ?? 'it said nothing'}.`,
    remedy: `Run ${example} by itself to see where.`,
  });
}
