import { MillpoolError } from '@millpool/protocol';

/**
 * What a LIST or HEAD of an opened source failed of. That the bucket or folder itself is not there says nothing of a
 * path below it, so it is not `not-found`: the source is away.
 */
export function rootGone(thrown: unknown, source: string): unknown {
  if (!(thrown instanceof MillpoolError) || thrown.code !== 'not-found') return thrown;
  return new MillpoolError(
    {
      code: 'source-unavailable',
      message: `${source} was attached and is gone: ${thrown.message}`,
      remedy: 'Restore it or mount it again, or detach it with `millpool detach`. What is cached of it can be read.',
    },
    { cause: thrown },
  );
}
