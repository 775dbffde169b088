import { asMillpoolError, errorTable, MillpoolError } from '@millpool/protocol';
import type { ErrorShape } from '@millpool/protocol';

import { NobodyReads, Output } from './output.ts';
import { Session } from './session.ts';
import type { Settings } from './settings.ts';

/** What a command works with. */
export interface Tools {
  readonly settings: Settings;
  readonly session: Session;
  readonly output: Output;
  /** Aborted by Ctrl-C and SIGTERM. */
  readonly signal: AbortSignal;
}

/** Some of what was asked was done; the list says what not. Exit code 3. */
export class PartlyDone extends Error {
  readonly failures: readonly ErrorShape[];

  constructor(failures: readonly ErrorShape[]) {
    super(`${failures.length} not done`);
    this.failures = failures;
  }
}

/** What was looked at was told, and some of it is not as it should be. Exit code 1. */
export class ChecksFailed extends Error {
  constructor(count: number) {
    super(`${count} failed`);
  }
}

/** Runs commands: gives each its tools, and turns whatever it throws into words and an exit code. */
export class CommandContext {
  readonly #settings: () => Settings;
  /** Of the command that ran; 0 until something went wrong. */
  exitCode = 0;

  constructor(settings: () => Settings) {
    this.#settings = settings;
  }

  async run(action: (tools: Tools) => Promise<void>): Promise<void> {
    const stop = new AbortController();
    const onSignal = (): void =>
      stop.abort(new MillpoolError({ code: 'cancelled', message: 'Interrupted.', remedy: '' }));
    process.once('SIGINT', onSignal);
    process.once('SIGTERM', onSignal);
    let output = new Output({ json: process.argv.includes('--json'), quiet: false });
    let session: Session | null = null;
    try {
      const settings = this.#settings();
      output = new Output({ json: settings.json, quiet: settings.quiet });
      session = new Session(settings.config.socket, settings.config.callTimeoutMs / 1000);
      await action({ settings, session, output, signal: stop.signal });
    } catch (thrown) {
      this.exitCode = report(thrown, output);
    } finally {
      await session?.close();
      process.removeListener('SIGINT', onSignal);
      process.removeListener('SIGTERM', onSignal);
    }
  }
}

function report(thrown: unknown, output: Output): number {
  if (thrown instanceof PartlyDone) {
    for (const failure of thrown.failures) output.error(failure);
    return 3;
  }
  if (thrown instanceof ChecksFailed) return 1;
  if (thrown instanceof NobodyReads) return 0;
  const error = asMillpoolError(thrown);
  output.error(error.shape);
  return errorTable[error.code].exit;
}
