import { formatBytes, waitCauses } from '@millpool/protocol';
import type { SecondsByCause, WaitCause } from '@millpool/protocol';

import type { CacheFacts } from './cache-facts.ts';
import type { Ceilings } from './report.ts';

/** A loop that waits for less of its time is limited by its own work; for less yet, by nothing else. */
const waitsLittle = 0.2;
const hardlyWaits = 0.05;
/** What a cache holds of its size beside the records' bytes: headers, footers, room to write. */
const headroom = 1.1;
/** Of a dataset: what is missing is the last batches under way. */
const nearlyAll = 0.98;

/** What an advice is made of. */
export interface Findings {
  readonly seconds: number;
  readonly waitSeconds: SecondsByCause;
  /** Of what was waited for `queue`: in the reads, for a slot or the daemon. The rest is handing batches over. */
  readonly leaseSeconds: number;
  readonly ceilings: Ceilings;
  readonly dataset: { readonly path: string; readonly bytes: number };
  readonly cache: CacheFacts | null;
}

/** One sentence on the largest share of the waiting, and what shortens it. */
export function adviceFor(findings: Findings): string {
  const { waitSeconds, seconds } = findings;
  const waited = waitCauses.reduce((sum, cause) => sum + waitSeconds[cause], 0);
  if (seconds === 0) return 'Nothing was read yet.';
  const [worst = 'queue'] = waitCauses.toSorted((a, b) => waitSeconds[b] - waitSeconds[a]);
  if (waited < waitsLittle * seconds) {
    const own = `The loop's own work takes ${Math.round((100 * (seconds - waited)) / seconds)} % of the time`;
    if (waited < hardlyWaits * seconds) return `${own}: faster storage would change nothing.`;
    return `${own}, and most of the rest it waits for ${worst}.`;
  }
  return sentences[worst](findings);
}

const sentences: { readonly [cause in WaitCause]: (findings: Findings) => string } = {
  source: onSource,
  device: onDevice,
  gather: ({ ceilings: { gather } }) =>
    'The loop takes batches as fast as memory gives them' +
    (gather === null ? '' : ` (${Math.round(gather)} samples/s)`) +
    ': only fewer bytes a sample, or more work on each, would make it wait less.',
  peer: () => 'The loop waits for other nodes: the network between them is the limit.',
  transform: () => 'The loop waits for its transform: give it more threads, or do less in it.',
  copy: () => 'The loop waits for copies to the GPU: move fewer bytes, such as uint8 that the GPU converts.',
  queue: ({ waitSeconds, leaseSeconds }) =>
    leaseSeconds > waitSeconds.queue / 2
      ? 'Reads wait for a free slot or for the daemon: release batches sooner, or give connect() a larger ringBytes.'
      : 'What a batch costs beside its bytes is the limit: a larger batchSize makes fewer of them.',
};

function onSource({ dataset, cache }: Findings): string {
  const waits = 'The loop waits for the under-storage';
  if (cache === null)
    return `${waits}: \`millpool load ${dataset.path} --wait\` before training brings all of it here.`;
  const { capacityBytes, cachedBytes, policy, state, why } = cache;
  if (policy === 'stream') {
    return `${waits}, since policy stream keeps nothing: attach ${dataset.path} with --policy auto to keep it.`;
  }
  if (dataset.bytes * headroom > capacityBytes) {
    const wanted = formatBytes(Math.ceil(dataset.bytes * headroom));
    return (
      `${waits}: ${formatBytes(capacityBytes)} of ${formatBytes(dataset.bytes)} fits, ` +
      `the rest is fetched each epoch: size it to ${wanted} (--size).`
    );
  }
  if (state !== 'on') return `${waits}, and nothing more is kept: ${why}`;
  if (cachedBytes < nearlyAll * dataset.bytes) {
    return (
      `${waits} in its first pass: \`millpool load ${dataset.path} --wait\` before training brings ` +
      `${formatBytes(dataset.bytes)} here, and later epochs need no GET.`
    );
  }
  return `${waits}, though ${dataset.path} is here by now: the next epoch needs no GET.`;
}

function onDevice({ dataset, ceilings: { device } }: Findings): string {
  const waits =
    'The loop waits for the cache device' + (device === null ? '' : `, which gives ${Math.round(device)} samples/s`);
  const memory = process.availableMemory();
  if (dataset.bytes > memory) {
    return (
      `${waits}, as ${formatBytes(dataset.bytes)} do not fit into the ${formatBytes(memory)} of memory there are: ` +
      'give the cache faster devices, or more of them (--data DIR again).'
    );
  }
  return (
    `${waits}: what was read once is in memory the next time; to wait less before, give the cache faster devices, or ` +
    'more of them (--data DIR again).'
  );
}
