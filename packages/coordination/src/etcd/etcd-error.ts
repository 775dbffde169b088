import { status } from '@grpc/grpc-js';
import type { ServiceError } from '@grpc/grpc-js';
import { MillpoolError } from '@millpool/protocol';
import type { ErrorCode } from '@millpool/protocol';

type Told = readonly [code: ErrorCode, remedy: string];

const rejected: Told = [
  'refused',
  'Give a user and password that etcd knows (etcd://USER:PASSWORD@HOST), with rights to the prefix.',
];
const asks: Told = ['internal', 'This is a fault of Millpool, or etcd is not of version 3.4 or later.'];
const silent: Told = ['unreachable', 'Look whether etcd runs and has a leader: etcdctl endpoint status --cluster.'];

/**
 * By what gRPC says. `unreachable` and `timeout` leave open whether something was done; so does whatever is not listed:
 * a member that stops, or a stream that is reset, ends calls as cancelled, unknown or internal, also those that it did.
 */
const byStatus: Readonly<Partial<Record<status, Told>>> = {
  [status.DEADLINE_EXCEEDED]: ['timeout', silent[1]],
  [status.NOT_FOUND]: ['not-found', 'The lease has ended, and its keys with it: grant another one.'],
  [status.PERMISSION_DENIED]: rejected,
  [status.UNAUTHENTICATED]: rejected,
  [status.INVALID_ARGUMENT]: asks,
  [status.FAILED_PRECONDITION]: asks,
  [status.OUT_OF_RANGE]: asks,
  [status.UNIMPLEMENTED]: asks,
};

/** Of one call, by the text of etcd's own errors where a status means several things. */
export function etcdFailure(thrown: unknown, endpoint: string, what: string): MillpoolError {
  if (thrown instanceof MillpoolError) return thrown;
  if (!isServiceError(thrown)) throw thrown;
  const [code, remedy] = toldOf(thrown);
  const said = thrown.details.replace(/^etcdserver: /, '');
  return new MillpoolError({ code, message: `etcd at ${endpoint}, ${what}: ${said}`, remedy }, { cause: thrown });
}

export function isServiceError(thrown: unknown): thrown is ServiceError {
  return thrown instanceof Error && 'code' in thrown && typeof thrown.code === 'number' && 'details' in thrown;
}

/** It was valid, and is no longer: etcd was restarted, time is over, or the users are others. Nothing was done. */
export function isStaleToken(thrown: unknown): boolean {
  if (!isServiceError(thrown)) return false;
  return thrown.code === status.UNAUTHENTICATED || thrown.details.includes('revision of auth store is old');
}

function toldOf({ code, details }: ServiceError): Told {
  if (details.includes('space exceeded')) {
    return ['full', 'Make room in etcd: compact and defrag it, raise its quota, then `etcdctl alarm disarm`.'];
  }
  if (/authentication failed|user name (is empty|not found)|authentication is not enabled/.test(details))
    return rejected;
  return byStatus[code] ?? silent;
}
