import { asMillpoolError, MillpoolError } from '@millpool/protocol';

import { repository } from './bench-program.ts';
import { parseCommandLine, usage } from './command-line.ts';
import type { CommandLine } from './command-line.ts';
import { hasRun } from './figure.ts';
import type { Figure, Outcome } from './figure.ts';
import { figures } from './figures.ts';
import { commit, describeMachine } from './machine.ts';
import { reportOf, table, writeReport } from './report.ts';
import type { Report } from './report.ts';

const wrongUsage = 2;
const interrupted = 130;

async function measure({ chosen }: CommandLine, signal: AbortSignal): Promise<Report> {
  const outcomes: Outcome[] = [];
  const measured = await commit();
  for (const figure of chosen) outcomes.push(...(await outcomesOf(figure, signal)));
  return reportOf(outcomes, await describeMachine(), measured);
}

/** What was measured before an interruption or a fault is told and kept, and the other figures go on after a fault. */
async function outcomesOf(figure: Figure, signal: AbortSignal): Promise<readonly Outcome[]> {
  const say = (text: string): void => void process.stderr.write(`${figure.id}: ${text}\n`);
  const outcomes: Outcome[] = [];
  try {
    signal.throwIfAborted();
    for await (const outcome of figure.measure({ say, signal })) {
      outcomes.push(outcome);
      say(hasRun(outcome) ? `${outcome.variant}: ${outcome.ratio.toFixed(2)}` : `not run: ${outcome.why}`);
    }
  } catch (error) {
    if (!signal.aborted) {
      say(asMillpoolError(error).shape.message);
      process.exitCode = 1;
    }
    outcomes.push({ id: figure.id, why: signal.aborted ? 'interrupted' : 'it failed' });
  }
  return outcomes;
}

async function main(signal: AbortSignal): Promise<void> {
  const line = parseCommandLine(process.argv.slice(2), figures);
  if (line.help) return void process.stdout.write(usage(figures));
  const report = await measure(line, signal);
  process.stdout.write(table(report));
  if (line.jsonFile !== null) await writeReport(report, line.jsonFile);
  if (line.all) {
    const kept = `${repository}/bench/results/${report.at.slice(0, 10)}-${report.commit.slice(0, 7)}.json`;
    await writeReport(report, kept);
    process.stdout.write(`kept in ${kept}\n`);
  }
  signal.throwIfAborted();
}

const stop = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.on(signal, () => stop.abort(new MillpoolError({ code: 'cancelled', message: 'Interrupted.', remedy: '' })));
}
try {
  await main(stop.signal);
} catch (error) {
  const { code, message, remedy } = asMillpoolError(stop.signal.aborted ? stop.signal.reason : error).shape;
  process.stderr.write(`bench: ${message}\n${remedy === '' ? '' : `  ${remedy}\n`}`);
  process.exitCode = stop.signal.aborted ? interrupted : code === 'invalid' ? wrongUsage : 1;
}
