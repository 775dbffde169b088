import { program } from './program.ts';

/** What did not close in its time keeps nobody waiting longer. */
const lastMs = 5_000;

async function main(): Promise<void> {
  // Who reads help has seen enough; results are written another way (output.ts).
  process.stdout.on('error', () => undefined);
  process.exitCode = await program(process.argv);
  setTimeout(() => process.exit(), lastMs).unref();
}

void main();
