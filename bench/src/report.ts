import { mkdir, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';

import { formatBytes } from '@millpool/protocol';

import { hasRun } from './figure.ts';
import type { Beside, Outcome, Result } from './figure.ts';
import type { Machine } from './machine.ts';

/** What `--json` writes, and bench/results keeps. */
export interface Report {
  readonly machine: Machine;
  readonly commit: string;
  /** When it ended, ISO 8601. */
  readonly at: string;
  readonly results: readonly Result[];
  readonly notRun: readonly { readonly id: string; readonly why: string }[];
}

export function reportOf(outcomes: readonly Outcome[], machine: Machine, commit: string): Report {
  const results = outcomes.filter(hasRun);
  const notRun = outcomes.flatMap((outcome) => (hasRun(outcome) ? [] : [outcome]));
  return { machine, commit, at: new Date().toISOString(), results, notRun };
}

export async function writeReport(report: Report, path: string): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, `${JSON.stringify(report, null, 2)}\n`);
}

/** Whether the whole interval lies below the goal. */
export function verdict({ goal, high, isVoid }: Result): 'void' | 'missed' | 'met' | '' {
  if (isVoid) return 'void';
  if (goal === null) return '';
  return high < goal ? 'missed' : 'met';
}

export function table({ machine, commit, results, notRun }: Report): string {
  const head = ['figure', 'variant', 'ours', 'reference', 'unit', 'CPU µs', 'ratio', '90 %', 'runs', 'goal', ''];
  const rows = results.map((result) => [
    result.id,
    result.variant,
    digits(result.ours),
    digits(result.reference),
    result.unit,
    result.cpuMicros === null ? '' : `${digits(result.cpuMicros.ours)} / ${digits(result.cpuMicros.reference)}`,
    result.ratio.toFixed(2),
    `${result.low.toFixed(2)}–${result.high.toFixed(2)}`,
    String(result.runs),
    result.goal === null ? '' : String(result.goal),
    verdict(result),
  ]);
  const widths = head.map((_, column) => Math.max(...[head, ...rows].map((row) => (row[column] ?? '').length)));
  const line = (row: readonly string[]): string =>
    row
      .map((cell, i) => cell.padEnd(widths[i] ?? 0))
      .join('  ')
      .trimEnd();
  const { cpus, model, memoryBytes, kernel, node, rust } = machine;
  return [
    ...[head, ...rows].map(line),
    '',
    ...results.map((result) => `${result.id} ${result.variant}: against ${result.referenceName}`),
    ...results.flatMap(({ beside = [], ...result }) =>
      beside.map((fact) => `${result.id} ${result.variant}: ${told(fact)}`),
    ),
    ...notRun.map(({ id, why }) => `${id}: not run: ${why}`),
    `${cpus} × ${model}, ${formatBytes(memoryBytes)}, Linux ${kernel}, Node ${node}, ${rust}, commit ${commit}`,
    '',
  ].join('\n');
}

function told({ name, value, unit }: Beside): string {
  return `${name}: ${value >= 100 ? Math.round(value) : value.toPrecision(3)} ${unit}`;
}

/** Three digits at least. */
function digits(value: number): string {
  return value < 10 ? value.toPrecision(3) : value.toFixed(0);
}
