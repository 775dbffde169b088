import { MillpoolError } from '@millpool/protocol';

/** The changes that a watch should begin with are no longer kept: read the range, then watch from its revision + 1. */
export class CompactedError extends MillpoolError {
  /** The first revision that a watch can still begin with. */
  readonly oldestRevision: number;

  constructor(fromRevision: number, oldestRevision: number) {
    super({
      code: 'not-found',
      message: `the changes of revision ${fromRevision} are no longer kept; the oldest are of ${oldestRevision}`,
      remedy: 'Read the range again and watch from its revision on.',
    });
    this.oldestRevision = oldestRevision;
  }
}
