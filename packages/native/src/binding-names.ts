export interface NativeTableFreshness {
  readonly generation: number;
  readonly freshUntilMs: number;
}

export interface NativeNameTable {
  add(block: Uint8Array): void;
}

export interface NativeNameCache {
  bytes(): number;
  put(directory: string, table: NativeNameTable, freshness: NativeTableFreshness, nowMs: number): boolean;
  renew(directory: string, freshness: NativeTableFreshness): boolean;
  drop(directory: string): void;
  clear(): void;
  find(paths: string, ends: Uint32Array, nowMs: number): Buffer;
}
