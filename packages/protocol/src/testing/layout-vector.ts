import { readFileSync } from 'node:fs';

/** Where a field of a layout is, and what the independent writer put there. */
export interface LayoutField {
  readonly at: number;
  readonly size: number;
  /** STRUCT/NUMBER/FIELD. */
  readonly path: string;
  /** Decimal for a number, or a text, or empty. */
  readonly value: string;
}

/** A layout of docs/formats.md, written in `test/vectors/layouts.tsv` by a program that shares nothing with ours. */
export class LayoutVector {
  readonly name: string;
  readonly bytes: Buffer;
  readonly fields: readonly LayoutField[];

  private constructor(name: string, length: number, lines: readonly string[]) {
    this.name = name;
    this.bytes = Buffer.alloc(length);
    this.fields = lines.map((line) => {
      const [at, size, path = '', hex = '', value = ''] = line.split('\t');
      const [unit = '', count = '1'] = hex.split('*');
      this.bytes.set(Buffer.from(unit.repeat(Number(count)), 'hex'), Number(at));
      return { at: Number(at), size: Number(size), path, value };
    });
  }

  static all(): LayoutVector[] {
    const file = new URL('../../../../test/vectors/layouts.tsv', import.meta.url);
    const sections = readFileSync(file, 'utf8')
      .split(/^layout\t/m)
      .slice(1);
    return sections.map((section) => {
      const [head = '', ...lines] = section.trimEnd().split('\n');
      const [name = '', length] = head.split('\t');
      return new LayoutVector(name, Number(length), lines);
    });
  }

  /** Throws `RangeError` for a name that is not in the file, as all below do for a path. */
  static named(name: string): LayoutVector {
    const found = LayoutVector.all().find((vector) => vector.name === name);
    if (found === undefined) throw new RangeError(`no layout ${name}`);
    return found;
  }

  text(path: string): string {
    return this.#field(path).value;
  }

  number(path: string): number {
    return Number(this.text(path));
  }

  part(path: string): Buffer {
    const { at, size } = this.#field(path);
    return this.bytes.subarray(at, at + size);
  }

  #field(path: string): LayoutField {
    const found = this.fields.find((field) => field.path === path);
    if (found === undefined) throw new RangeError(`no ${path} in ${this.name}`);
    return found;
  }
}
