import { seededBytes, seededRandom } from './seeded-random.ts';

export interface GeneratedFile {
  readonly name: string;
  readonly bytes: Buffer;
}

export interface GeneratedFilesOptions {
  readonly count: number;
  readonly seed: number;
  readonly bytesMin: number;
  readonly bytesMax: number;
}

const filesPerDirectory = 1000;

/** Incompressible files, a thousand in each directory, that the seed decides; made one after another. */
export function* generatedFiles({ count, seed, bytesMin, bytesMax }: GeneratedFilesOptions): Generator<GeneratedFile> {
  const random = seededRandom(seed);
  for (let i = 0; i < count; i += 1) {
    const directory = String(Math.floor(i / filesPerDirectory)).padStart(3, '0');
    const length = bytesMin + Math.floor(random() * (bytesMax - bytesMin + 1));
    yield { name: `part-${directory}/file-${String(i).padStart(6, '0')}.bin`, bytes: seededBytes(seed + i, length) };
  }
}
