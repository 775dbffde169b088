import { ProgressBar } from '@millpool/cli/progress-bar';
import { formatBytes } from '@millpool/protocol';
import type { ErrorShape } from '@millpool/protocol';

/** One epoch, as `--json` prints it (INTERFACES §JSON). */
export interface EpochLine {
  readonly epoch: number;
  readonly samples: number;
  readonly bytes: number;
  readonly seconds: number;
  readonly samplesPerSecond: number;
  readonly sourceBytes: number;
  readonly cacheBytes: number;
  readonly hitRatio: number;
  readonly waitSeconds: Readonly<Record<string, number>>;
  readonly checksum: string;
  readonly source: 's3' | 'folder';
  /** Mean of the epoch, where a network was trained. */
  readonly loss?: number;
}

/** How training ended, as `--json` prints it. */
export interface Verdict {
  /** Share of the held-out images that are told right, and of the most frequent label among them. */
  readonly accuracy: number;
  readonly majority: number;
  /** A run that was stopped, and resumed by another number of processes, read step for step what one run does. */
  readonly resumedExactly: boolean;
}

/** What the demo tells: a table with a progress bar for people, or one JSON object a line and nothing else. */
export class Show {
  readonly #json: boolean;

  constructor(json: boolean) {
    this.#json = json;
  }

  say(text: string): void {
    (this.#json ? process.stderr : process.stdout).write(`${text}\n`);
  }

  bar(verb: string, totalBytes: number): ProgressBar {
    return new ProgressBar(!this.#json && process.stderr.isTTY === true, verb, totalBytes);
  }

  epoch(line: EpochLine): void {
    if (this.#json) {
      process.stdout.write(`${JSON.stringify(line)}\n`);
      return;
    }
    const waits = Object.entries(line.waitSeconds)
      .filter(([, seconds]) => seconds >= 0.005)
      .map(([cause, seconds]) => `${cause} ${seconds.toFixed(2)} s`);
    const loss = line.loss === undefined ? '' : `loss ${line.loss.toFixed(3)}, `;
    process.stdout.write(
      `epoch ${line.epoch}: ${loss}${line.samples} samples in ${line.seconds.toFixed(2)} s = ` +
        `${Math.round(line.samplesPerSecond)} samples/s, ${formatBytes(line.bytes / line.seconds)}/s\n` +
        `         from the source ${formatBytes(line.sourceBytes)}, from the cache ${formatBytes(line.cacheBytes)}, ` +
        `hit ratio ${line.hitRatio.toFixed(3)}\n` +
        `         waited: ${waits.length === 0 ? 'hardly' : waits.join(', ')}\n`,
    );
  }

  verdict(verdict: Verdict): void {
    const { accuracy, majority, resumedExactly } = verdict;
    const text =
      `held-out images: ${percent(accuracy)} right; who always said the most frequent label: ${percent(majority)}\n` +
      `stopped and resumed by another number of processes: ${resumedExactly ? 'exactly' : 'NOT'} the same steps`;
    process.stdout.write(`${this.#json ? JSON.stringify(verdict) : text}\n`);
  }

  failure(error: ErrorShape): void {
    const text = this.#json ? JSON.stringify({ error }) : `demo: ${error.message}\n  ${error.remedy}`;
    process.stderr.write(`${text}\n`);
  }
}

function percent(share: number): string {
  return `${(100 * share).toFixed(1)} %`;
}
