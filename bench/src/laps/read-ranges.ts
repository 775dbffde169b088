// Bare reading: `node read-ranges.js METHOD LIST`, where each line of LIST is `OFFSET LENGTH FILE`. Says when all of it
// was read, and ends.
import { open, readFile } from 'node:fs/promises';
import { closeSync, openSync, readSync } from 'node:fs';

const [method = '', list = ''] = process.argv.slice(2);
const chunkBytes = 4 << 20;
/** As many as libuv has threads. */
const atOnce = 4;

interface Range {
  readonly offset: number;
  readonly length: number;
  readonly file: string;
}

function parse(line: string): Range {
  const [, offset = '', length = '', file = ''] = /^(\d+) (\d+) (.+)$/.exec(line) ?? [];
  return { offset: Number(offset), length: Number(length), file };
}

function synchronous(ranges: readonly Range[]): number {
  const buffer = Buffer.allocUnsafe(chunkBytes);
  let total = 0;
  for (const { offset, length, file } of ranges) {
    const descriptor = openSync(file, 'r');
    for (let done = 0; done < length; done += chunkBytes) {
      total += readSync(descriptor, buffer, 0, Math.min(chunkBytes, length - done), offset + done);
    }
    closeSync(descriptor);
  }
  return total;
}

async function parallel(ranges: readonly Range[]): Promise<number> {
  const pieces = ranges.flatMap(({ offset, length, file }) =>
    Array.from({ length: Math.ceil(length / chunkBytes) }, (_, n) => ({
      file,
      offset: offset + n * chunkBytes,
      length: Math.min(chunkBytes, length - n * chunkBytes),
    })),
  );
  let total = 0;
  const reader = async (): Promise<void> => {
    const buffer = Buffer.allocUnsafe(chunkBytes);
    for (let piece = pieces.shift(); piece !== undefined; piece = pieces.shift()) {
      const file = await open(piece.file, 'r');
      total += (await file.read(buffer, 0, piece.length, piece.offset)).bytesRead;
      await file.close();
    }
  };
  await Promise.all(Array.from({ length: atOnce }, reader));
  return total;
}

const ranges = (await readFile(list, 'utf8')).trimEnd().split('\n').map(parse);
const bytes = method === 'synchronous' ? synchronous(ranges) : await parallel(ranges);
const { user, system } = process.cpuUsage();
process.stdout.write(`${JSON.stringify({ bytes, cpuSeconds: (user + system) / 1e6 })}\n`);
