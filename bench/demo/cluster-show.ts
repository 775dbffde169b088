import type { Show } from './show.ts';

/** A second of the load, as `--json` prints it. */
export interface SecondLine {
  readonly second: number;
  readonly namesPerSecond: number;
  /** What is done for the directory's load. */
  readonly rung: string;
  readonly parts: number;
  readonly nodesReading: number;
}

/** How it ended, as `--json` prints it. */
export interface ClusterVerdict {
  readonly names: number;
  readonly wrong: number;
  readonly splitAfterSeconds: number;
  readonly publishedAfterSeconds: number;
  /** From the kill until others owned all that it had. */
  readonly ownedAgainAfterSeconds: number;
  /** The longest that one question took, the kill and all moves included. */
  readonly longestSeconds: number;
  readonly moved: number;
  readonly maxOverMean: number;
  readonly isGood: boolean;
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
    const { second, namesPerSecond, rung, parts } = line;
    this.#most = Math.max(this.#most, namesPerSecond);
    const bar = '▇'.repeat(Math.round((barColumns * namesPerSecond) / this.#most)).padEnd(barColumns);
    const state = `${states[rung] ?? rung}${parts > 1 ? `, ${parts} parts` : ''}`;
    const names = Math.round(namesPerSecond).toLocaleString('en').padStart(9);
    process.stdout.write(`${String(second).padStart(4)} s ${names} names/s  ${bar}  ${state}\n`);
  }

  verdict(verdict: ClusterVerdict): void {
    if (this.#json) {
      process.stdout.write(`${JSON.stringify(verdict)}\n`);
      return;
    }
    const { names, wrong, splitAfterSeconds, publishedAfterSeconds, longestSeconds, moved, maxOverMean } = verdict;
    const lines = [
      `${names.toLocaleString('en')} names were looked up, ${wrong} answered wrongly`,
      `read by one node it was shared out in ${splitAfterSeconds} s; by two, published in ${publishedAfterSeconds} s`,
      `what the killed node owned had other owners after ${verdict.ownedAgainAfterSeconds.toFixed(1)} s`,
      `${moved} shards were moved; the fullest node has ${maxOverMean.toFixed(2)} times the mean`,
      `the longest answer took ${longestSeconds.toFixed(2)} s`,
      verdict.isGood ? 'All is as it should be.' : 'That is NOT as it should be.',
    ];
    process.stdout.write(`\n${lines.join('\n')}\n`);
  }
}
