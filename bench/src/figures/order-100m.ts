import { lapProgram } from '../bench-program.ts';
import type { Beside, Figure } from '../figure.ts';
import { median } from '../interval.ts';
import { LineProcess } from '../line-process.ts';
import { ObjectServer } from '../object-server.ts';
import { comparePairs } from '../pairs.ts';
import type { Contender, Lap } from '../pairs.ts';
import { memoryBytesOf } from '../process-memory.ts';
import { noRoomFor, VersionFile } from '../version-file.ts';

const id = 'order-100m';
const goal = 1;
/** A resume takes a tenth of a second, of which chance has a large share. */
const pairs = 21;
const objects = { count: 100_000_000, sizeBytes: 4096 };
const globalBatch = 256;
const targetSeconds = 2;

export const order100m: Figure = {
  id,
  measures: '2 s ÷ from connecting to the first batch of a loader that resumes amid 100 M samples, nothing in memory',
  async *measure(bench) {
    const why = await noRoomFor(objects);
    if (why !== null) {
      yield { id, why };
      return;
    }
    await using server = await ObjectServer.start('127.0.0.1');
    await using version = await VersionFile.write(objects, server.endpoint, bench);
    const target: Contender = { lap: async () => ({ samples: 1, seconds: targetSeconds, cpuSeconds: 0 }) };
    const resumes = new Resumes(version);
    const compared = await comparePairs(resumes, target, { pairs, ...bench });
    yield {
      id,
      variant: '100 M samples of 4 KiB, shuffled',
      ...compared,
      referenceName: `${targetSeconds} s; the version file is made by the bench, not by a listing`,
      unit: 'resumes/s',
      goal,
      higherIsBetter: true,
      beside: resumes.beside,
    };
  },
};

/** Resumes amid an epoch, somewhere else each time. */
class Resumes implements Contender {
  readonly #version: VersionFile;
  #emptyBytes = 0;
  readonly #memoryBytes: number[] = [];
  #laps = 0;

  constructor(version: VersionFile) {
    this.#version = version;
  }

  get beside(): readonly Beside[] {
    const bytes = (median(this.#memoryBytes) - this.#emptyBytes) / objects.count;
    return [
      { name: 'memory of daemon and loop, above those that have no dataset', value: bytes, unit: 'bytes a sample' },
      { name: 'version file', value: this.#version.bytesASample, unit: 'bytes a sample' },
    ];
  }

  /** Of a new process at a new daemon, with nothing of the file in the page cache. */
  async lap(): Promise<Lap> {
    const node = await this.#version.start();
    try {
      await using loop = await LineProcess.start([...lapProgram('resume'), node.socket, this.#version.path]);
      this.#emptyBytes = (await memoryBytesOf(node.pid)) + (await memoryBytesOf(loop.pid));
      await this.#version.uncache();
      this.#laps += 1;
      const position = globalBatch * ((50_000 * this.#laps) % Math.floor(objects.count / globalBatch));
      const lap = await loop.lap(JSON.stringify(this.#version.stateAt(position, globalBatch)));
      this.#memoryBytes.push((await memoryBytesOf(node.pid)) + (await memoryBytesOf(loop.pid)));
      return { ...lap, samples: 1 };
    } finally {
      await node.stop();
    }
  }
}
