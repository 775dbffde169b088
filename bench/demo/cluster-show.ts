import type { Show } from './show.ts';

/** A second of the load, as `--json` prints it. */
export interface SecondLine {
  readonly second: number;
  readonly namesPerSecond: number;
  /** What is done for the directory's load. */
  readonly rung: string;
  readonly parts: number;
  readonly nodesReading: number;
  /** That they read: at first many, evenly, then the one that gets hot. */
  readonly directories: number;
}

/** How it ended, as `--json` prints it. */
export interface ClusterVerdict {
  readonly verdict: 'ok' | 'failed';
  /** Why it failed. */
  readonly reasons: readonly string[];
  /** Names a second of the one directory, published, over those of many; null where that was not reached. */
  readonly hotOverUniform: number | null;
  /** Of shards by node, after the rebalance. */
  readonly maxOverMean: number | null;
  /** From the kill until others owned all that the node had. */
  readonly failoverSeconds: number | null;
  readonly wrongAnswers: number;
  readonly names: number;
  readonly splitAfterSeconds: number | null;
  readonly publishedAfterSeconds: number | null;
  /** The longest that one question took, the kill and all moves included. */
  readonly longestSeconds: number;
  readonly moved: number | null;
}

const barColumns = 32;
const states: Readonly<Record<string, string>> = {
  none: 'whole, at its home',
  publish: 'published',
  split: 'shared out',
};

/** What the demo of a cluster tells: a line a second for people, or one JSON object a line and nothing else. */
export class ClusterShow {
  readonly #show: Show;
  readonly #json: boolean;
  #most = 1;

  constructor(show: Show, json: boolean) {
    this.#show = show;
    this.#json = json;
  }

  say(text: string): void {
    this.#show.say(text);
  }

  second(line: SecondLine): void {
    if (this.#json) {
      process.stdout.write(`${JSON.stringify(line)}\n`);
      return;
    }
    const { second, namesPerSecond, rung, parts, directories } = line;
    this.#most = Math.max(this.#most, namesPerSecond);
    const bar = '▇'.repeat(Math.round((barColumns * namesPerSecond) / this.#most)).padEnd(barColumns);
    const one = `${states[rung] ?? rung}${parts > 1 ? `, ${parts} parts` : ''}`;
    const state = directories > 1 ? `${directories} directories` : one;
    const names = Math.round(namesPerSecond).toLocaleString('en').padStart(9);
    process.stdout.write(`${String(second).padStart(4)} s ${names} names/s  ${bar}  ${state}\n`);
  }

  verdict(verdict: ClusterVerdict): void {
    if (this.#json) {
      process.stdout.write(`${JSON.stringify(verdict)}\n`);
      return;
    }
    const { names, wrongAnswers, splitAfterSeconds, publishedAfterSeconds, hotOverUniform } = verdict;
    const { failoverSeconds, moved, maxOverMean, longestSeconds, reasons } = verdict;
    const lines = [
      `${names.toLocaleString('en')} names were looked up, ${wrongAnswers} answered wrongly`,
      `read by one node it was shared out in ${told(splitAfterSeconds, 0)} s; by two, published in ` +
        `${told(publishedAfterSeconds, 0)} s, and then read ${told(hotOverUniform, 2)} times as fast as many are`,
      `what the killed node owned had other owners after ${told(failoverSeconds, 1)} s`,
      `${told(moved, 0)} shards were moved; the fullest node has ${told(maxOverMean, 2)} times the mean`,
      `the longest answer took ${longestSeconds.toFixed(2)} s`,
      reasons.length === 0 ? 'All is as it should be.' : `That is NOT as it should be: ${reasons.join('; ')}.`,
    ];
    process.stdout.write(`\n${lines.join('\n')}\n`);
  }
}

function told(value: number | null, digits: number): string {
  return value === null ? '?' : value.toFixed(digits);
}
