export interface NativeListPage {
  readonly files: Buffer;
  readonly directories: readonly Buffer[];
  readonly markers: readonly Buffer[];
  readonly last?: Buffer;
  readonly truncated: boolean;
  readonly token?: string;
}

export interface NativeEntryDealer {
  addFiles(files: Uint8Array, from: number, to: number, skip: number): number;
  add(kind: number, name: Uint8Array, record: Uint8Array): void;
  addBlock(kind: number, block: Uint8Array, after: Uint8Array): Buffer;
  counts(counts: Uint32Array): void;
  end(): void;
  take(): Buffer | null;
}

export interface NativeTakenEntry {
  readonly class: number;
  readonly name: Buffer;
}

export interface NativeEntryMerge {
  open(classes: Uint8Array): void;
  put(stream: number, block: Uint8Array | null): void;
  /** A stream that wants a block, or -1: enough, -2: over. */
  takePage(count: number, page: NativePackedEntries): number;
  takeBlocks(count: number, blocks: NativeBlockPacker): number;
  taken(): number;
  last(): NativeTakenEntry | null;
}

export interface NativePackedEntries {
  count(): number;
  finish(): Buffer;
}

export interface NativeBlockPacker {
  blocks(): number;
  finish(): Buffer;
}
