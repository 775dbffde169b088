/** A table of a document: its header cells and rows, without the marks around code. */
export interface Table {
  readonly head: readonly string[];
  readonly rows: readonly (readonly string[])[];
}

/** Every table of a Markdown text, in order. */
export function tablesOf(text: string): Table[] {
  const tables: Table[] = [];
  let lines: string[] = [];
  for (const line of [...text.split('\n'), '']) {
    if (line.startsWith('|')) lines.push(line);
    else if (lines.length > 0) {
      const [head = [], , ...rows] = lines.map(cellsOf);
      tables.push({ head, rows });
      lines = [];
    }
  }
  return tables;
}

function cellsOf(line: string): string[] {
  return line
    .slice(1, line.lastIndexOf('|'))
    .split('|')
    .map((cell) => cell.trim());
}

/** `4,092` as a number; null for what depends on another field. */
export function fixed(cell: string): number | null {
  const digits = cell.replaceAll(',', '');
  return /^\d+$/.test(digits) ? Number(digits) : null;
}

/** The name that a cell in backticks is, or null. */
export function codeName(cell: string): string | null {
  return /^`([\w-]+)`$/.exec(cell)?.[1] ?? null;
}

/** What a constant of TypeScript or Rust is worth: whole numbers, products, shifts. Null where it is not there. */
export function constantIn(source: string, name: string): number | null {
  const found = new RegExp(`\\bconst ${name}(?:: \\w+)? = ([^;]+);`).exec(source)?.[1];
  if (found === undefined) return null;
  return found
    .replaceAll('_', '')
    .split('*')
    .map(shifted)
    .reduce((product, factor) => product * factor, 1);
}

function shifted(text: string): number {
  const [value = '', bits = '0'] = text.split('<<').map((part) => part.trim());
  if (!/^(?:\d+|0x[0-9a-f]+)$/.test(value)) return Number.NaN;
  return Number(value) * 2 ** Number(bits);
}
