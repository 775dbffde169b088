import type { CoordStore, KeyValue, RangeReply, RangeRequest, Txn } from '@millpool/coordination';
import { withDeadline } from '@millpool/host';
import type { Clock, Log } from '@millpool/host';
import { asMillpoolError, MillpoolError } from '@millpool/protocol';
import type {
  ErrorShape,
  Handlers,
  MapMethod,
  MapRecord,
  MapReply,
  MapRestoreReply,
  MapRestoreRequest,
} from '@millpool/protocol';

import { attachmentPrefix, decodeAttachment, lastAttachmentKey } from '../attachment-record.ts';
import { decodeDirectoryRecord, directoryPrefix } from './directory-record.ts';
import { drainPrefix } from './drain-record.ts';
import { decodeShard, encodeShard, shardPrefix } from './shard-record.ts';

interface Parts {
  readonly store: CoordStore;
  readonly clock: Clock;
  readonly log: Log;
}

type KeptRecord = Pick<KeyValue, 'key' | 'value' | 'modRevision'>;

/** By the prefix of its keys: throws where a record is damaged. Members and moves are not in it: they come again. */
const kinds: readonly { readonly prefix: string; readonly decode: (entry: KeptRecord) => unknown }[] = [
  { prefix: attachmentPrefix, decode: ({ value }) => decodeAttachment(value) },
  { prefix: lastAttachmentKey, decode: ({ value }) => wholeNumber(value) },
  { prefix: directoryPrefix, decode: decodeDirectoryRecord },
  { prefix: drainPrefix, decode: ({ value }) => value },
  { prefix: shardPrefix, decode: decodeShard },
];
const recordsAtOnce = 1_000;
/** Fewer than a transaction may have of operations. */
const changesAtOnce = 40;
const callTimeoutMs = 10_000;
const attempts = 3;

/** What of a cluster is nowhere else: it can be kept in a file, and put back where it was lost or damaged. */
export class ClusterMap {
  readonly #parts: Parts;

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  get handlers(): Handlers<MapMethod> {
    return { map: () => this.#read(), 'map-restore': (request) => this.#restore(request) };
  }

  async #read(): Promise<MapReply> {
    const entries = await this.#entries();
    const records = [...entries.values()].map(({ key, value }) => ({ key, value: Buffer.from(value).toString() }));
    const damaged = [...entries.values()].filter(isDamaged).map(({ key }) => key);
    return { takenAt: new Date(this.#parts.clock.nowMs()).toISOString(), records, damaged };
  }

  async #restore({ records, isDryRun }: MapRestoreRequest): Promise<MapRestoreReply> {
    records.forEach(checkRecord);
    for (let attempt = 1; ; attempt += 1) {
      const now = await this.#entries();
      const reply = planOf(records, now);
      const changes = reply.put.map((record) => changeOf(record, now.get(record.key) ?? null));
      if (isDryRun || (await this.#change(changes))) {
        const restored = reply.put.map(({ key }) => key);
        if (!isDryRun && restored.length > 0)
          this.#parts.log.warn('records of the cluster were put back', { restored });
        return { restored, changed: reply.changed, refused: reply.refused };
      }
      if (attempt === attempts) throw changedMeanwhile();
    }
  }

  /** False: something was changed meanwhile. What was put back before stays. */
  async #change(changes: readonly Pick<Txn, 'compare' | 'then'>[]): Promise<boolean> {
    for (let first = 0; first < changes.length; first += changesAtOnce) {
      const some = changes.slice(first, first + changesAtOnce);
      const txn = {
        compare: some.flatMap(({ compare }) => compare),
        then: some.flatMap(({ then }) => then),
        otherwise: [],
      };
      if (!(await this.#within(() => this.#parts.store.txn(txn))).succeeded) return false;
    }
    return true;
  }

  async #entries(): Promise<Map<string, KeyValue>> {
    const entries = new Map<string, KeyValue>();
    for (const { prefix } of kinds) {
      for (let after: string | null = null, more = true; more;) {
        const request: RangeRequest = { prefix, limit: recordsAtOnce, after };
        const page: RangeReply = await this.#within(() => this.#parts.store.range(request));
        for (const entry of page.entries) entries.set(entry.key, entry);
        more = page.more;
        after = page.entries.at(-1)?.key ?? null;
      }
    }
    return entries;
  }

  #within<T>(call: () => Promise<T>): Promise<T> {
    return withDeadline({ name: 'the coordination store', timeoutMs: callTimeoutMs, clock: this.#parts.clock }, call);
  }
}

interface Plan {
  readonly put: readonly MapRecord[];
  readonly changed: readonly string[];
  readonly refused: readonly ErrorShape[];
}

/** Only what is missing or damaged is put back; what has become another thing meanwhile is right as it is. */
function planOf(records: readonly MapRecord[], now: ReadonlyMap<string, KeyValue>): Plan {
  const put: MapRecord[] = [];
  const changed: string[] = [];
  const refused: ErrorShape[] = [];
  const ids = new Map(
    [...now.values()]
      .filter((entry) => entry.key.startsWith(attachmentPrefix) && !isDamaged(entry))
      .map(({ key, value }) => [decodeAttachment(value).id, key]),
  );
  for (const record of records) {
    const { key, value } = record;
    const entry = now.get(key);
    if (entry !== undefined && !isDamaged(entry)) {
      if (key === lastAttachmentKey && wholeNumber(entry.value) < wholeNumber(Buffer.from(value))) put.push(record);
      else if (Buffer.from(entry.value).toString() !== value) changed.push(key);
      continue;
    }
    const id = key.startsWith(attachmentPrefix) ? decodeAttachment(Buffer.from(value)).id : null;
    const other = id === null ? undefined : ids.get(id);
    if (other === undefined || other === key) put.push(record);
    else refused.push(idTaken(key, other));
  }
  return { put, changed, refused };
}

/** Of a shard the next term: whoever owned it in that one knows nothing of what came since. */
function changeOf({ key, value }: MapRecord, now: KeyValue | null): Pick<Txn, 'compare' | 'then'> {
  const bytes = Buffer.from(value);
  const shard = key.startsWith(shardPrefix) ? decodeShard({ key, value: bytes }) : null;
  const put = shard === null ? bytes : encodeShard({ ...shard, term: shard.term + 1 });
  return {
    compare: [{ kind: 'mod-revision', key, modRevision: now?.modRevision ?? 0 }],
    then: [{ kind: 'put', key, value: put }],
  };
}

function isDamaged(entry: KeyValue): boolean {
  try {
    kindOf(entry.key)?.decode(entry);
    return false;
  } catch (error) {
    if (!(error instanceof MillpoolError)) throw error;
    return true;
  }
}

function kindOf(key: string): (typeof kinds)[number] | undefined {
  return kinds.find(({ prefix }) => key.startsWith(prefix));
}

function checkRecord({ key, value }: MapRecord): void {
  try {
    const kind = kindOf(key);
    if (kind === undefined) throw new RangeError('no such record is kept');
    kind.decode({ key, value: Buffer.from(value), modRevision: 0 });
  } catch (error) {
    throw new MillpoolError({
      code: 'invalid',
      message: `${key} cannot be put back: ${asMillpoolError(error).message}`,
      remedy: 'Give a file that `millpool admin map export` wrote, as it is.',
    });
  }
}

function wholeNumber(value: Uint8Array): number {
  const text = Buffer.from(value).toString();
  if (/^\d{1,10}$/.test(text)) return Number(text);
  throw new MillpoolError({
    code: 'corrupt',
    message: `the last attachment's number, ${text}, is none`,
    remedy: 'Put it back with `millpool admin map restore`.',
  });
}

function idTaken(key: string, other: string): ErrorShape {
  const { shape } = new MillpoolError({
    code: 'exists',
    message: `${key} has the number that ${other} has got since`,
    remedy: 'Attach its source again: what is cached of it is fetched anew.',
  });
  return shape;
}

function changedMeanwhile(): MillpoolError {
  return new MillpoolError({
    code: 'exists',
    message: 'the records of the cluster change all the time',
    remedy: 'Wait until no rebalance is under way, and try again.',
  });
}
