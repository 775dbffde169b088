import { parseArgs } from 'node:util';

import { MillpoolError } from '@millpool/protocol';

import { faultKinds, runCluster } from './cluster-run.ts';
import type { FaultKind } from './cluster-run.ts';

const seedsDefault = 1_000;
const usage = `npm run simulate [-- --seeds N] [--seed S] [--json]

Runs the control plane of a cluster in virtual time: nodes are killed, frozen, cut off and stopped, the coordination
store is away, and replies are lost. No shard may ever have two owners, and each must have one soon after. A seed gives
the same run each time.

  --seeds N  so many seeds, from 0 on (default ${seedsDefault})
  --seed S   this one alone
  --json     the outcome as one JSON object
`;

interface Outcome {
  readonly seeds: number;
  readonly failed: readonly number[];
  readonly steps: number;
  readonly faults: Readonly<Record<FaultKind, number>>;
}

const options = {
  seeds: { type: 'string' },
  seed: { type: 'string' },
  json: { type: 'boolean' },
  help: { type: 'boolean', short: 'h' },
} as const;

try {
  process.exitCode = await main();
} catch (error) {
  if (!(error instanceof MillpoolError || error instanceof TypeError)) throw error;
  process.stderr.write(`millpool: ${error.message}\n  See npm run simulate -- --help.\n`);
  process.exitCode = 2;
}

async function main(): Promise<number> {
  const { values } = parseArgs({ options });
  if (values.help === true) {
    process.stdout.write(usage);
    return 0;
  }
  const only = values.seed === undefined ? null : wholeNumber('--seed', values.seed, 0);
  const count = only === null ? wholeNumber('--seeds', values.seeds ?? String(seedsDefault), 1) : 1;
  const outcome = await simulate(only ?? 0, count);
  const { failed, seeds, steps, faults } = outcome;
  if (values.json === true) process.stdout.write(`${JSON.stringify(outcome)}\n`);
  else {
    const struck = faultKinds.map((kind) => `${faults[kind]} ${kind}`).join(', ');
    process.stdout.write(`${seeds} seeds, ${failed.length} failed; ${steps} steps; ${struck}\n`);
  }
  return failed.length === 0 ? 0 : 1;
}

async function simulate(first: number, count: number): Promise<Outcome> {
  const faults: Record<FaultKind, number> = { kill: 0, freeze: 0, cut: 0, stop: 0, 'store-away': 0 };
  const failed: number[] = [];
  let steps = 0;
  for (let seed = first; seed < first + count; seed += 1) {
    const run = await runCluster(seed);
    steps += run.steps;
    for (const kind of faultKinds) faults[kind] += run.faults[kind];
    if (run.failure !== null) {
      failed.push(seed);
      process.stderr.write(`seed ${seed}: ${run.failure}\n`);
    }
    if (process.stderr.isTTY) process.stderr.write(`\r${seed - first + 1} of ${count} `);
  }
  if (process.stderr.isTTY) process.stderr.write('\n');
  return { seeds: count, failed, steps, faults };
}

function wholeNumber(option: string, text: string, least: number): number {
  const number = Number(text);
  if (text !== '' && Number.isSafeInteger(number) && number >= least) return number;
  const message = `${option} ${text} is no whole number from ${least}.`;
  throw new MillpoolError({ code: 'invalid', message, remedy: 'See its help.' });
}
