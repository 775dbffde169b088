/**
 * Source text with what is not code blanked out: comments whole, strings but for their quotes. Same length, same lines,
 * so that a position in one is a position in the other and a brace found in it is a brace of the program.
 */
export function maskTypeScript(text: string): string {
  const out = [...blank(text)];
  const templateDepths: number[] = [];
  let at = 0;
  let depth = 0;
  const keep = (length: number): void => {
    for (let end = at + length; at < end; at += 1) out[at] = text[at] ?? '';
  };
  while (at < text.length) {
    const char = text[at] ?? '';
    if (text.startsWith('//', at)) at = lineEnd(text, at);
    else if (text.startsWith('/*', at)) at = after(text, '*/', at + 2);
    else if (char === '/' && regexMayStart(out, at)) at = regexEnd(text, at);
    else if (char === "'" || char === '"') at = keepQuotes(out, text, at, quotedEnd(text, at, char));
    else if (char === '`' || (char === '}' && templateDepths.at(-1) === depth)) {
      if (char === '}') templateDepths.pop();
      keep(1);
      at = templateChunkEnd(text, at);
      if (text[at] === '`') keep(1);
      else if (at < text.length) {
        templateDepths.push(depth);
        at += 1;
        keep(1);
      }
    } else {
      if (char === '{') depth += 1;
      if (char === '}') depth -= 1;
      keep(1);
    }
  }
  return out.join('');
}

/** As maskTypeScript, for Rust: nested comments, raw strings, and lifetimes that are not characters. */
export function maskRust(text: string): string {
  const out = [...blank(text)];
  let at = 0;
  while (at < text.length) {
    const raw = /^(?:b|c)?r(#*)"/.exec(text.slice(at, at + 40));
    const char = /^b?'(?:\\(?:x[0-9a-fA-F]{2}|u\{[^}]*\}|.)|[^\\'])'/su.exec(text.slice(at, at + 16));
    if (text.startsWith('//', at)) at = lineEnd(text, at);
    else if (text.startsWith('/*', at)) at = nestedCommentEnd(text, at);
    else if (raw !== null && !/\w/.test(text[at - 1] ?? '')) at = after(text, `"${raw[1] ?? ''}`, at + raw[0].length);
    else if (text[at] === '"') at = keepQuotes(out, text, at, quotedEnd(text, at, '"'));
    else if (char !== null && !/\w/.test(text[at - 1] ?? '')) at += char[0].length;
    else {
      out[at] = text[at] ?? '';
      at += 1;
    }
  }
  return out.join('');
}

function blank(text: string): string {
  return text.replace(/[^\n]/g, ' ');
}

function lineEnd(text: string, from: number): number {
  const end = text.indexOf('\n', from);
  return end < 0 ? text.length : end;
}

/** Just behind the next `mark`. */
function after(text: string, mark: string, from: number): number {
  const found = text.indexOf(mark, from);
  return found < 0 ? text.length : found + mark.length;
}

function nestedCommentEnd(text: string, from: number): number {
  let depth = 0;
  for (let at = from; at < text.length; at += 1) {
    if (text.startsWith('/*', at)) depth += 1;
    else if (text.startsWith('*/', at)) depth -= 1;
    else continue;
    at += 1;
    if (depth === 0) return at + 1;
  }
  return text.length;
}

/** Just behind the closing quote; an escape hides the character behind it. */
function quotedEnd(text: string, from: number, quote: string): number {
  for (let at = from + 1; at < text.length; at += 1) {
    if (text[at] === '\\') at += 1;
    else if (text[at] === quote) return at + 1;
  }
  return text.length;
}

function keepQuotes(out: string[], text: string, from: number, end: number): number {
  out[from] = text[from] ?? '';
  out[end - 1] = text[end - 1] ?? '';
  return end;
}

/** At the closing backtick, or at the `$` of `${`. */
function templateChunkEnd(text: string, from: number): number {
  for (let at = from; at < text.length; at += 1) {
    if (text[at] === '\\') at += 1;
    else if (text[at] === '`' || text.startsWith('${', at)) return at;
  }
  return text.length;
}

/** A slash begins a pattern where an operand is due, and divides where one has just ended. */
function regexMayStart(out: readonly string[], at: number): boolean {
  const before = out
    .slice(Math.max(0, at - 200), at)
    .join('')
    .trimEnd();
  if (before === '') return true;
  if (/(?:^|[^\w$.])(?:return|typeof|case|in|of|void|delete|throw|await|yield|else|do)$/.test(before)) return true;
  return /[-(,=:[!&|?{};+*%~^<>]$/.test(before);
}

function regexEnd(text: string, from: number): number {
  let inClass = false;
  for (let at = from + 1; at < text.length; at += 1) {
    const char = text[at];
    if (char === '\\') at += 1;
    else if (char === '[') inClass = true;
    else if (char === ']') inClass = false;
    else if (char === '\n') return at;
    else if (char === '/' && !inClass) return at + 1;
  }
  return text.length;
}

/** As maskTypeScript, for Python. What stands on lines of a longer text is blank, and indented by nothing. */
export function maskPython(text: string): string {
  const hidden = /("""|''')(?:\\[^]|[^\\])*?\1|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|#.*/g;
  return text.replaceAll(hidden, (found) => blank(found));
}
