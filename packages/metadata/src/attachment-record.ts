import type { CoordStore, KeyValue } from '@millpool/coordination';
import { MillpoolError } from '@millpool/protocol';
import type { Attachment } from '@millpool/protocol';

/** In the coordination store: `attachment/PATH` holds an attachment as JSON, `attachment-last` the last id given. */
export const attachmentPrefix = 'attachment/';
export const lastAttachmentKey = 'attachment-last';
const recordsAtOnce = 1_000;

export function attachmentKey(path: string): string {
  return attachmentPrefix + path.slice(1);
}

export function encodeAttachment(attachment: Attachment): Uint8Array {
  return Buffer.from(JSON.stringify(attachment));
}

export function decodeAttachment(record: Uint8Array): Attachment {
  try {
    // Those of before there was compression do not name it.
    const attachment = { compression: 'off', ...JSON.parse(Buffer.from(record).toString()) } as Attachment;
    if (Number.isSafeInteger(attachment.id) && typeof attachment.path === 'string') return attachment;
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
  }
  throw new MillpoolError({
    code: 'corrupt',
    message: 'an attachment in the coordination store is damaged',
    remedy: 'Set the state directory aside and attach the sources again.',
  });
}

/** All that the store has, in the order of their keys; for `decodeAttachment`. */
export async function attachmentRecords(coordination: CoordStore): Promise<readonly KeyValue[]> {
  const records: KeyValue[] = [];
  for (let after: string | null = null, more = true; more;) {
    const page = await coordination.range({ prefix: attachmentPrefix, limit: recordsAtOnce, after });
    records.push(...page.entries);
    more = page.more;
    after = page.entries.at(-1)?.key ?? null;
  }
  return records;
}
