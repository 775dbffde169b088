import { createHash } from 'node:crypto';

const modulus = 1n << 128n;

/**
 * A checksum of a set of samples that does not depend on their order: the sum modulo 2^128 of the first 16 bytes
 * (big endian) of SHA-256(path, 0x00, sample bytes).
 */
export class ContentSum {
  #sum = 0n;

  add(path: string, bytes: Uint8Array): void {
    const digest = createHash('sha256').update(path).update('\0').update(bytes).digest();
    this.#sum = (this.#sum + (digest.readBigUInt64BE(0) << 64n) + digest.readBigUInt64BE(8)) % modulus;
  }

  get hex(): string {
    return this.#sum.toString(16).padStart(32, '0');
  }
}
