import { createInterface } from 'node:readline';

/** What the programs here do with each line of stdin; the answer goes to stdout (native/bench does the same). */
export async function answerLaps<Prepared>(program: {
  readonly prepare: (line: string) => Promise<Prepared>;
  /** Returns how many samples it read. */
  readonly lap: (prepared: Prepared) => Promise<number>;
}): Promise<void> {
  process.stdout.write('{"ready":true}\n');
  for await (const line of createInterface({ input: process.stdin })) {
    const prepared = await program.prepare(line);
    const cpuBefore = process.cpuUsage();
    const startMs = performance.now();
    const samples = await program.lap(prepared);
    const seconds = (performance.now() - startMs) / 1000;
    const { user, system } = process.cpuUsage(cpuBefore);
    process.stdout.write(`${JSON.stringify({ samples, seconds, cpuSeconds: (user + system) / 1e6 })}\n`);
  }
}

/** An order as `SampleOrder` writes it. */
export function orderOf(bytes: Buffer): Uint32Array {
  return new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.length / Uint32Array.BYTES_PER_ELEMENT);
}
