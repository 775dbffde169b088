import type { Figure } from '../figure.ts';
import { LineProcess } from '../line-process.ts';
import { ObjectServer } from '../object-server.ts';
import { comparePairs } from '../pairs.ts';
import type { Contender } from '../pairs.ts';
import { PythonPrograms } from '../python-program.ts';
import { statefulDataLoader } from '../rivals.ts';
import { noRoomFor, VersionFile } from '../version-file.ts';

const id = 'py-resume';
const goal = 50;
const pairs = 21;
const objects = { count: 10_000_000, sizeBytes: 4096 };
const batchSize = 256;
const position = batchSize * Math.floor(objects.count / 2 / batchSize);

export const pyResume: Figure = {
  id,
  measures: 'a StatefulDataLoader resumed at 5 M of 10 M samples, to its first batch ÷ the same by the Python SDK',
  async *measure(bench) {
    const had = await PythonPrograms.beside(bench, statefulDataLoader.environment);
    if ('why' in had) return yield { id, why: had.why };
    const noRoom = await noRoomFor(objects);
    if (noRoom !== null) return yield { id, why: noRoom };
    const { programs, theirs } = had;
    await using server = await ObjectServer.start('127.0.0.1');
    await using version = await VersionFile.write(objects, server.endpoint, bench);
    const node = await version.start();
    try {
      const args = [objects.count, batchSize, position].map(String);
      await using reference = await LineProcess.start(theirs.command(statefulDataLoader.program, ...args), theirs);
      await using loop = await LineProcess.start(
        programs.command('millpool_resume', node.socket, version.path),
        programs,
      );
      // Another place each time: what was read for the batch before it is of no use.
      const stateOf = (lap: number): string => JSON.stringify(version.stateAt(position + batchSize * lap, batchSize));
      const ours = resumes((lap) => loop.lap(stateOf(lap)));
      await ours.lap(pairs);
      yield {
        id,
        variant: '5 M of 10 M, shuffled',
        ...(await comparePairs(
          ours,
          resumes((lap) => reference.lap(String(lap))),
          { pairs, ...bench },
        )),
        referenceName: `${statefulDataLoader.title}, no workers, samples in memory; ours fetches the batch from S3`,
        unit: 'resumes/s',
        goal,
        higherIsBetter: true,
      };
    } finally {
      await node.stop();
    }
  },
};

function resumes(lap: (number: number) => ReturnType<Contender['lap']>): Contender {
  return { lap: async (number) => ({ ...(await lap(number)), samples: 1 }) };
}
