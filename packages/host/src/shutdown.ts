import { MillpoolError } from '@millpool/protocol';
import type { Clock } from './clock.ts';
import { withDeadline } from './deadline.ts';
import type { Log } from './log.ts';

interface Opened {
  readonly name: string;
  readonly close: () => Promise<void>;
}

export interface ShutdownConfig {
  readonly clock: Clock;
  readonly log: Log;
  /** Of each part; one that takes longer is left, and the next is closed. */
  readonly partTimeoutMs: number;
}

/** What a process has opened, closed in the opposite order: once, and each part within its time. */
export class Shutdown {
  readonly #config: ShutdownConfig;
  readonly #opened: Opened[] = [];
  #closing: Promise<readonly MillpoolError[]> | null = null;

  constructor(config: ShutdownConfig) {
    this.#config = config;
  }

  /** `name` completes "waited 30s for … to close". After `close` began, what is opened late is closed by its opener. */
  onClose(name: string, close: () => Promise<void>): void {
    if (this.#closing !== null) {
      throw new MillpoolError({ code: 'closed', message: `${name} was opened while the process stops`, remedy: '' });
    }
    this.#opened.push({ name, close });
  }

  /** Closes everything, also after a part failed; the failures, in the order in which they happened. */
  close(): Promise<readonly MillpoolError[]> {
    return (this.#closing ??= this.#closeAll());
  }

  async #closeAll(): Promise<readonly MillpoolError[]> {
    const { clock, log, partTimeoutMs } = this.#config;
    const failures: MillpoolError[] = [];
    for (let part = this.#opened.pop(); part !== undefined; part = this.#opened.pop()) {
      const { name, close } = part;
      try {
        await withDeadline({ name: `${name} to close`, timeoutMs: partTimeoutMs, clock }, close);
        log.debug('closed', { part: name });
      } catch (thrown) {
        const error = closeError(name, thrown);
        log.error('a part did not close', { part: name, error });
        failures.push(error);
      }
    }
    return failures;
  }
}

function closeError(name: string, thrown: unknown): MillpoolError {
  if (thrown instanceof MillpoolError) return thrown;
  return new MillpoolError(
    { code: 'internal', message: `closing ${name}: ${String(thrown)}`, remedy: '' },
    { cause: thrown },
  );
}
