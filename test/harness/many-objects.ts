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

export interface ObjectsOfOneSize {
  readonly count: number;
  readonly sizeBytes: number;
}

/**
 * A bucket of more objects than a server of a test could be given: the load generator of native/bench, which answers as
 * S3 does from memory. Its objects are `data/part-NNNN/object-NNNNNNN.bin`, a thousand in each part.
 */
export class ManyObjects {
  readonly count: number;
  readonly sizeBytes: number;
  readonly #child: ChildProcess;
  readonly #address: string;

  private constructor(of: ObjectsOfOneSize, child: ChildProcess, address: string) {
    this.count = of.count;
    this.sizeBytes = of.sizeBytes;
    this.#child = child;
    this.#address = address;
  }

  /** Why it cannot be here; null where it can. */
  static missing(): string | null {
    return existsSync(program) ? null : `${program} is not built`;
  }

  /** `directory`: for the AWS settings, of which there are none. */
  static async start(of: ObjectsOfOneSize, directory: string): Promise<ManyObjects> {
    clearAwsEnvironment(directory);
    const child = spawn(program, ['serve', '127.0.0.1:0'], { stdio: ['pipe', 'pipe', 'inherit'] });
    const signal = AbortSignal.timeout(startDeadlineMs);
    const [line] = (await once(child.stdout, 'data', { signal })) as [Buffer];
    return new ManyObjects(of, child, line.toString().trim());
  }

  get source(): string {
    return `s3://objects-${this.count}-${this.sizeBytes}/data`;
  }

  get endpoint(): string {
    return `http://${this.#address}`;
  }

  get env(): Record<string, string> {
    return {
      AWS_ENDPOINT_URL: this.endpoint,
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
