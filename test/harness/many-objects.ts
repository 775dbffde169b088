import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';

import { clearAwsEnvironment } from './s3-server.ts';

const program = join(
  process.env['CARGO_TARGET_DIR'] ?? resolve(import.meta.dirname, '../../../native/target'),
  'release/millpool-bench',
);
const startDeadlineMs = 30_000;

/**
 * A bucket of more objects than a server of a test could be given: the load generator of native/bench, which answers as
 * S3 does from memory. Its objects are `data/part-NNNN/object-NNNNNNN.bin`, a thousand in each part.
 */
export class ManyObjects {
  readonly count: number;
  readonly #child: ChildProcess;
  readonly #address: string;

  private constructor(count: number, child: ChildProcess, address: string) {
    this.count = count;
    this.#child = child;
    this.#address = address;
  }

  /** Why it cannot be here; null where it can. */
  static missing(): string | null {
    return existsSync(program) ? null : `${program} is not built`;
  }

  /** `directory`: for the AWS settings, of which there are none. */
  static async start(count: number, directory: string): Promise<ManyObjects> {
    clearAwsEnvironment(directory);
    const child = spawn(program, ['serve', '127.0.0.1:0'], { stdio: ['pipe', 'pipe', 'inherit'] });
    const signal = AbortSignal.timeout(startDeadlineMs);
    const [line] = (await once(child.stdout, 'data', { signal })) as [Buffer];
    return new ManyObjects(count, child, line.toString().trim());
  }

  get source(): string {
    return `s3://objects-${this.count}-1024/data`;
  }

  get env(): Record<string, string> {
    return {
      AWS_ENDPOINT_URL: `http://${this.#address}`,
      AWS_REGION: 'us-east-1',
      AWS_ACCESS_KEY_ID: 'many',
      AWS_SECRET_ACCESS_KEY: 'many-secret',
    };
  }

  /** It runs until its stdin ends. */
  async stop(): Promise<void> {
    const ended = once(this.#child, 'exit');
    this.#child.stdin?.end();
    await ended;
  }
}
