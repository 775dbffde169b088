/** An LZ4 in plain JavaScript that shares nothing with the core's; it has no types of its own. */
declare module 'lz4js' {
  interface Lz4 {
    /** Decodes the block that `source` has from `at` on, of `length` bytes, and says where it ends in `target`. */
    decompressBlock(source: Uint8Array, target: Uint8Array, at: number, length: number, targetAt: number): number;
  }
  const lz4: Lz4;
  export default lz4;
}
