import { binding } from './load.ts';
import { called } from './native-error.ts';

/** Why no ring of io_uring can be made; null where one can. */
export function ioUringFault(): string | null {
  return called(() => binding().ioUringFault());
}

/** Why files of a directory cannot be written and read past the page cache (O_DIRECT); null where they can. */
export function directFault(directory: string): string | null {
  return called(() => binding().directFault(directory));
}
