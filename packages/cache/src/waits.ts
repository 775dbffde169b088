import { waitCauses } from '@millpool/protocol';
import type { SecondsByCause } from '@millpool/protocol';

export const noWaits = Object.fromEntries(waitCauses.map((cause) => [cause, 0])) as SecondsByCause;

export function sumOfWaits(left: SecondsByCause, right: SecondsByCause): SecondsByCause {
  return Object.fromEntries(waitCauses.map((cause) => [cause, left[cause] + right[cause]])) as SecondsByCause;
}
