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
  counts(counts: Uint32Array): void;
  end(): void;
  take(): Buffer | null;
}
