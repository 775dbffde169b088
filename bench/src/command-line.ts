import { parseArgs } from 'node:util';

import { MillpoolError } from '@millpool/protocol';

import type { Figure } from './figure.ts';

export interface CommandLine {
  readonly chosen: readonly Figure[];
  readonly all: boolean;
  readonly jsonFile: string | null;
  readonly help: boolean;
}

/** Such a word chooses all figures whose ids begin so. */
const prefixes = new Map([
  ['python', 'py-'],
  ['metadata', 'md-'],
]);

/** Throws `invalid`, which names the figures that there are. */
export function parseCommandLine(args: readonly string[], figures: readonly Figure[]): CommandLine {
  const options = { json: { type: 'string' }, help: { type: 'boolean', short: 'h' } } as const;
  const { values, positionals } = parsed(() => parseArgs({ args: [...args], options, allowPositionals: true }));
  const known = new Map(figures.map((figure) => [figure.id, figure]));
  const chosen = positionals.flatMap((name) => {
    const figure = known.get(name);
    if (figure !== undefined) return [figure];
    const prefix = prefixes.get(name);
    if (prefix !== undefined) return figures.filter((each) => each.id.startsWith(prefix));
    throw wrong(`There is no figure ${name}.`, `Choose of: ${[...known.keys()].join(', ')}.`);
  });
  const all = chosen.length === 0;
  return { chosen: all ? figures : chosen, all, jsonFile: values.json ?? null, help: values.help === true };
}

export function usage(figures: readonly Figure[]): string {
  const width = Math.max(...figures.map(({ id }) => id.length));
  return [
    'npm run bench [-- NAME…] [--json FILE]',
    '',
    'Ratios of pairs that run side by side, each with its 90 % interval; docs/bench.md says how to read them.',
    'Without names every figure is measured, and the report is kept in bench/results; the name `python` is those of',
    'the Python SDK, `metadata` those of the metadata service.',
    '',
    ...figures.map(({ id, measures }) => `  ${id.padEnd(width)}  ${measures}`),
    '',
    '  --json FILE  writes the report',
    '  --help       this',
    '',
  ].join('\n');
}

function parsed<Of>(parse: () => Of): Of {
  try {
    return parse();
  } catch (error) {
    throw wrong(error instanceof Error ? error.message : String(error), 'See npm run bench -- --help.');
  }
}

function wrong(message: string, remedy: string): MillpoolError {
  return new MillpoolError({ code: 'invalid', message, remedy });
}
