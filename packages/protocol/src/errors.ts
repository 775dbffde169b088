/**
 * The one error, and what each of its kinds means at every edge. The names and numbers are those of
 * `native/core/src/error.rs`; docs/errors.md has each under a heading with its remedy.
 */
export const errorTable = {
  invalid: { number: 1, exit: 2, retryable: false },
  'not-found': { number: 2, exit: 4, retryable: false },
  exists: { number: 3, exit: 1, retryable: false },
  refused: { number: 4, exit: 6, retryable: false },
  unreachable: { number: 5, exit: 5, retryable: true },
  'source-unavailable': { number: 6, exit: 1, retryable: true },
  'source-changed': { number: 7, exit: 1, retryable: false },
  'source-broken': { number: 8, exit: 1, retryable: true },
  timeout: { number: 9, exit: 1, retryable: true },
  cancelled: { number: 10, exit: 130, retryable: false },
  full: { number: 11, exit: 1, retryable: false },
  corrupt: { number: 12, exit: 1, retryable: false },
  unsupported: { number: 13, exit: 1, retryable: false },
  closed: { number: 14, exit: 1, retryable: false },
  io: { number: 15, exit: 1, retryable: false },
  internal: { number: 16, exit: 1, retryable: false },
} as const satisfies Record<string, { number: number; exit: number; retryable: boolean }>;

export type ErrorCode = keyof typeof errorTable;

/** An error as it travels: in replies, in `--json` on stderr. */
export interface ErrorShape {
  readonly code: ErrorCode;
  /** One sentence that names the thing. */
  readonly message: string;
  /** What to do about it; empty only where nothing can be done. */
  readonly remedy: string;
  readonly path?: string;
}

export class MillpoolError extends Error {
  override readonly name = 'MillpoolError';
  readonly code: ErrorCode;
  readonly remedy: string;
  readonly path: string | undefined;

  constructor(shape: ErrorShape, options?: { cause?: unknown }) {
    super(shape.message, options);
    this.code = shape.code;
    this.remedy = shape.remedy;
    this.path = shape.path;
  }

  /** The same facts as plain data; the inverse of the constructor. */
  get shape(): ErrorShape {
    const { code, message, remedy, path } = this;
    return path === undefined ? { code, message, remedy } : { code, message, remedy, path };
  }
}

export function isErrorCode(name: unknown): name is ErrorCode {
  return typeof name === 'string' && Object.hasOwn(errorTable, name);
}

const namesByNumber = new Map<number, ErrorCode>(
  Object.entries(errorTable).map(([name, row]) => [row.number, name as ErrorCode]),
);

/** `internal` for a number that is not in the table: a newer peer. */
export function errorCodeOf(number: number): ErrorCode {
  return namesByNumber.get(number) ?? 'internal';
}

/** Whatever was thrown, as a MillpoolError: itself, or an `internal` one that keeps it as its cause. */
export function asMillpoolError(thrown: unknown): MillpoolError {
  if (thrown instanceof MillpoolError) return thrown;
  const message = thrown instanceof Error ? thrown.message : String(thrown);
  return new MillpoolError(
    { code: 'internal', message, remedy: 'This is a fault of Millpool; please report it.' },
    { cause: thrown },
  );
}
