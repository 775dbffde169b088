import { datasetListLimitMax, MillpoolError } from '@millpool/protocol';
import type { DatasetListReply } from '@millpool/protocol';

import type { Tools } from './command-context.ts';

const digitsMin = 4;

/** All dataset versions of this node, page by page. */
export async function* datasetPages({ session, signal }: Tools): AsyncGenerator<DatasetListReply> {
  let after: string | null = null;
  do {
    const page: DatasetListReply = await session.call(
      'dataset-list',
      { after, limit: datasetListLimitMax },
      { signal },
    );
    yield page;
    after = page.next;
  } while (after !== null);
}

/** The version that somebody means by its first digits. `not-found` for none, `invalid` for several. */
export async function fullVersion(digits: string, tools: Tools): Promise<string> {
  if (!/^[0-9a-f]+$/.test(digits) || digits.length < digitsMin || digits.length > 64) {
    throw new MillpoolError({
      code: 'invalid',
      message: `${JSON.stringify(digits)} is no dataset version.`,
      remedy: `Write its 64 hex digits, or the first of them, at least ${digitsMin}; see \`millpool dataset ls\`.`,
    });
  }
  if (digits.length === 64) return digits;
  const found: string[] = [];
  for await (const { datasets } of datasetPages(tools)) {
    found.push(...datasets.map(({ version }) => version).filter((version) => version.startsWith(digits)));
  }
  const [only, second] = found;
  if (only !== undefined && second === undefined) return only;
  throw new MillpoolError(
    only === undefined
      ? {
          code: 'not-found',
          message: `There is no dataset version ${digits} here.`,
          remedy: 'See `millpool dataset ls`.',
        }
      : {
          code: 'invalid',
          message: `${found.length} dataset versions begin with ${digits}.`,
          remedy: 'Write more of its digits; see `millpool dataset ls`.',
        },
  );
}
