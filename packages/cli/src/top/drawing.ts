/** What a terminal can show. */
export interface Canvas {
  readonly columns: number;
  readonly rows: number;
  /** Blocks instead of `#` and `.`. */
  readonly blocks: boolean;
  readonly colours: boolean;
}

const eighths = ['', '▏', '▎', '▍', '▌', '▋', '▊', '▉'] as const;
const heights = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'] as const;
const plainHeights = ['_', '.', '-', '=', '+', '*', '%', '#'] as const;

/** `share` of `width` columns full. */
export function bar(share: number, width: number, { blocks }: Canvas): string {
  const full = Math.max(0, Math.min(1, share)) * width;
  const whole = Math.floor(full);
  if (!blocks) return `${'#'.repeat(Math.round(full))}${'.'.repeat(width - Math.round(full))}`;
  const part = eighths[Math.floor((full - whole) * 8)] ?? '';
  return ('█'.repeat(whole) + part).padEnd(width, '░');
}

/** The last values as heights, the newest at the right; the highest of them is full. */
export function sparkline(values: readonly number[], width: number, { blocks }: Canvas): string {
  const shown = values.slice(-width);
  const highest = Math.max(...shown, 0);
  const marks = blocks ? heights : plainHeights;
  const mark = (value: number): string => {
    if (value === 0 || highest === 0) return blocks ? ' ' : ' ';
    return marks[Math.min(marks.length - 1, Math.floor((value / highest) * marks.length))] ?? '';
  };
  return shown.map(mark).join('').padStart(width);
}

export type Style = 'bold' | 'dim' | 'green' | 'yellow' | 'red' | 'cyan';

const codes: Readonly<Record<Style, number>> = { bold: 1, dim: 2, green: 32, yellow: 33, red: 31, cyan: 36 };

/** A piece of a line in one style. */
export interface Span {
  readonly text: string;
  readonly style?: Style;
}

export type Line = readonly Span[];

export function plain(text: string): Span {
  return { text };
}

export function styled(style: Style, text: string): Span {
  return { style, text };
}

/** Cut at the canvas's edge; the style ends with it. */
export function render(line: Line, { columns, colours }: Canvas): string {
  let left = columns;
  let text = '';
  for (const span of line) {
    const shown = cut(span.text, left);
    left -= [...shown].length;
    text += span.style !== undefined && colours ? `\u001b[${codes[span.style]}m${shown}\u001b[0m` : shown;
    if (left === 0) break;
  }
  return text;
}

/** So many characters at most; what is cut says so, unless it is blank. */
export function cut(text: string, length: number): string {
  const characters = [...text];
  if (characters.length <= length) return text;
  const isBlank = characters.slice(length).every((character) => character === ' ');
  return isBlank || length === 0
    ? characters.slice(0, length).join('')
    : `${characters.slice(0, length - 1).join('')}…`;
}

/** Exactly so many characters. */
export function fit(text: string, length: number): string {
  return cut(text, length).padEnd(length);
}
