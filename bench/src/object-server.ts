import { benchProgram } from './bench-program.ts';
import { LineProcess } from './line-process.ts';

const objectsPerPart = 1000;

/** Objects of one size under `data/`, whose numbers are their place in key order. */
export interface ObjectSet {
  readonly count: number;
  readonly sizeBytes: number;
  /** All in one directory; otherwise in directories of a thousand. */
  readonly flat?: boolean;
}

/** The load generator of native/bench: it answers like S3 from memory, and believes every signature. */
export class ObjectServer implements AsyncDisposable {
  readonly #process: LineProcess;

  private constructor(started: LineProcess) {
    this.#process = started;
  }

  static async start(host: string, within: readonly string[] = []): Promise<ObjectServer> {
    return new ObjectServer(await LineProcess.start([benchProgram, 'serve', `${host}:0`], { within }));
  }

  /** `HOST:PORT` */
  get address(): string {
    return this.#process.greeting;
  }

  get endpoint(): string {
    return `http://${this.address}`;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#process[Symbol.asyncDispose]();
  }
}

/** Every bucket of such a name is there. */
export function bucketOf({ count, sizeBytes, flat = false }: ObjectSet): string {
  return `${flat ? 'flat' : 'objects'}-${count}-${sizeBytes}`;
}

export function keyOf(number: number, flat = false): string {
  const name = `object-${String(number).padStart(7, '0')}.bin`;
  return flat ? `data/${name}` : `data/part-${String(Math.floor(number / objectsPerPart)).padStart(4, '0')}/${name}`;
}

/** What tells any AWS client of a server. */
export function environmentFor(endpoint: string): Readonly<Record<string, string>> {
  return {
    AWS_ENDPOINT_URL: endpoint,
    AWS_REGION: 'us-east-1',
    AWS_ACCESS_KEY_ID: 'bench',
    AWS_SECRET_ACCESS_KEY: 'bench-secret',
    AWS_EC2_METADATA_DISABLED: 'true',
  };
}
