import { MillpoolError } from '@millpool/protocol';
import type { ErrorCode, ShardOwner } from '@millpool/protocol';

import type { ClusterNode } from './cluster-node.ts';

/** A caller that is behind is corrected so often; who is not right then asks the source itself. */
export const redirectsMax = 2;

/** What the owner could not do, this node may: reach the source, or answer at all. */
export const otherwiseHere: ReadonlySet<ErrorCode> = new Set([
  ...(['unreachable', 'timeout', 'closed', 'cancelled', 'unsupported', 'internal'] as const),
  ...(['source-unavailable', 'source-broken', 'refused', 'full', 'io', 'corrupt'] as const),
]);

/** Whom to ask for a shard: what the coordination store told, and what owners told since. */
export class Owners {
  readonly #node: Pick<ClusterNode, 'id' | 'view'>;
  readonly #told = new Map<number, ShardOwner>();

  constructor(node: Pick<ClusterNode, 'id' | 'view'>) {
    this.#node = node;
  }

  /** Null: nobody else, as far as this node knows. */
  otherOf(shard: number): ShardOwner | null {
    const owner = this.#ownerOf(shard);
    return owner === null || owner.owner === this.#node.id ? null : owner;
  }

  /** False where that is nothing new: then what was told before is not true any more, as of a map that was lost. */
  learn(shard: number, owner: ShardOwner | null): boolean {
    if (owner === null || owner.term <= (this.#ownerOf(shard)?.term ?? 0)) {
      this.#told.delete(shard);
      return false;
    }
    this.#told.set(shard, owner);
    return true;
  }

  #ownerOf(shard: number): ShardOwner | null {
    const seen = this.#node.view.ownerOf(shard);
    const told = this.#told.get(shard);
    if (told === undefined || (seen !== null && seen.term >= told.term)) {
      this.#told.delete(shard);
      return seen;
    }
    return told;
  }
}

export function ownerUnknown(path: string): MillpoolError {
  return new MillpoolError({
    code: 'closed',
    message: `${path} got another owner while it was copied`,
    remedy: 'Nothing is to be done: it is listed instead.',
    path,
  });
}
