/** What one suite found, and how it is shown. Skips carry their reasons; a failure carries what explains it. */
export class Tally {
  passed = 0;
  /** @type {{name: string, detail: string}[]} */
  failures = [];
  /** @type {{name: string, reason: string}[]} */
  skips = [];

  pass() {
    this.passed += 1;
  }

  fail(name, detail) {
    this.failures.push({ name, detail });
  }

  skip(name, reason) {
    this.skips.push({ name, reason: reason === '' ? 'no reason was given' : reason });
  }

  get size() {
    return this.passed + this.failures.length + this.skips.length;
  }

  get counts() {
    return `${this.passed} passed, ${this.failures.length} failed, ${this.skips.length} skipped`;
  }

  add(other) {
    this.passed += other.passed;
    this.failures.push(...other.failures);
    this.skips.push(...other.skips);
  }

  print() {
    for (const { name, reason } of this.skips) process.stdout.write(`skipped: ${name}: ${reason}\n`);
    for (const { name, detail } of this.failures) {
      process.stdout.write(`FAILED: ${name}\n${detail.trimEnd().replace(/^/gm, '    ')}\n`);
    }
  }
}
