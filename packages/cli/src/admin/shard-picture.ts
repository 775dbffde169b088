import type { ShardStatus } from '@millpool/protocol';

import { table } from '../output.ts';

const columns = 64;
const letters = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ';
const unserved = '.';
const many = '*';

/** Who owns what, a letter a shard; those on their way to another in lower case. After 26 owners all are a star. */
export function shardPicture(shards: readonly ShardStatus[]): string {
  const owners = [...new Set(shards.flatMap(({ owner }) => owner ?? []))].sort();
  const letterOf = new Map(owners.map((owner, at) => [owner, letters[at] ?? many]));
  const cells = shards.map(({ owner, isServed, movingTo }) => {
    const letter = owner === null || !isServed ? unserved : (letterOf.get(owner) ?? unserved);
    return movingTo === null || movingTo === owner ? letter : letter.toLowerCase();
  });
  const rows: string[] = [];
  for (let first = 0; first < cells.length; first += columns) {
    rows.push(`${String(first).padStart(4)}  ${cells.slice(first, first + columns).join('')}`);
  }
  const legend = owners.map((owner) => [letterOf.get(owner) ?? many, owner, countText(shards, owner)]);
  const waiting = shards.filter(({ isServed }) => !isServed).length;
  if (waiting > 0) legend.push([unserved, 'served by nobody yet', String(waiting)]);
  const moving = shards.filter(({ owner, movingTo }) => movingTo !== null && movingTo !== owner).length;
  const note = moving === 0 ? [] : [`${moving} are on their way to another node (lower case).`];
  return [...rows, '', table(legend, [2]), ...note].join('\n');
}

function countText(shards: readonly ShardStatus[], id: string): string {
  return String(shards.filter(({ owner, isServed }) => owner === id && isServed).length);
}
