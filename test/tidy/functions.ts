/** A function with a body, as a masked source shows it. Lines count from 1. */
export interface FunctionShape {
  readonly name: string;
  readonly line: number;
  readonly lines: number;
  readonly parameters: number;
}

const pairs: Readonly<Record<string, string>> = { '(': ')', '[': ']', '{': '}', '<': '>' };
const control = new Set(['if', 'for', 'while', 'switch', 'catch', 'with', 'await', 'return', 'typeof', 'new', 'super']);

/** The position of the bracket that closes the one at `open`, or -1. */
export function closing(code: string, open: number): number {
  const opener = code[open] ?? '';
  const closer = pairs[opener] ?? '';
  let depth = 0;
  for (let at = open; at < code.length; at += 1) {
    const arrow = opener === '<' && code[at] === '>' && /[=-]/.test(code[at - 1] ?? '');
    if (code[at] === opener) depth += 1;
    else if (code[at] === closer && !arrow) depth -= 1;
    if (depth === 0) return at;
  }
  return -1;
}

/**
 * Functions, methods and arrows of masked TypeScript: each parameter list that is followed by a body. An arrow whose
 * body is an expression has one line; callbacks of `describe` are only containers of tests and are left out.
 */
export function typeScriptFunctions(code: string): FunctionShape[] {
  const found: FunctionShape[] = [];
  for (const match of code.matchAll(/\(/g)) {
    const open = match.index;
    const close = closing(code, open);
    if (close < 0) continue;
    const header = headerBefore(code, open);
    const body = bodyAfter(code, close + 1);
    if (body === null || control.has(header.name)) continue;
    if (body.arrow ? isDescribe(code, header.start) : header.name === '') continue;
    const line = lineAt(code, header.start);
    const end = body.brace === null ? close : closing(code, body.brace);
    const parameters = countItems(code.slice(open + 1, close));
    found.push({ name: header.name, line, lines: lineAt(code, end) - line + 1, parameters });
  }
  return found;
}

/** Functions of masked Rust that have a body; `self` is not counted as a parameter. */
export function rustFunctions(code: string): FunctionShape[] {
  const found: FunctionShape[] = [];
  for (const match of code.matchAll(/\bfn\s+(\w+)\s*([<(])/g)) {
    let open = match.index + match[0].length - 1;
    if (match[2] === '<') open = code.indexOf('(', closing(code, open));
    const close = closing(code, open);
    const brace = rustBody(code, close + 1);
    if (close < 0 || brace < 0) continue;
    const line = lineAt(code, match.index);
    const list = code.slice(open + 1, close).replace(/^\s*(?:&(?:'\w+\s+)?)?(?:mut\s+)?self\b[^,]*,?/, '');
    const lines = lineAt(code, closing(code, brace)) - line + 1;
    found.push({ name: match[1] ?? '', line, lines, parameters: countItems(list) });
  }
  return found;
}

/**
 * Functions of masked Python, from `def` to their last line. `self` and `cls` are no parameters; those that can only be
 * named are not counted, as the fields of an object would not be.
 */
export function pythonFunctions(code: string): FunctionShape[] {
  return Array.from(code.matchAll(/^([ \t]*)(?:async )?def (\w+)(?:\[[^\]]*\])?(\()/gm), (match) => {
    const [whole, indent = '', name = ''] = match;
    const open = match.index + whole.length - 1;
    const close = closing(code, open);
    const line = lineAt(code, match.index);
    const [, ...after] = code.slice(close).split('\n');
    const next = after.findIndex((text) => text.trim() !== '' && !text.startsWith(`${indent} `));
    const body = after.slice(0, next < 0 ? after.length : next);
    const last = body.findLastIndex((text) => text.trim() !== '');
    const [positional = ''] = code.slice(open + 1, close).split('*');
    const list = positional.replace(/^\s*(?:self|cls)\b[^,]*,?/, '').replace(/\/\s*,?/, '');
    return { name, line, lines: lineAt(code, close) - line + last + 2, parameters: countItems(list) };
  });
}

function rustBody(code: string, from: number): number {
  const stop = /[{;]/g;
  stop.lastIndex = from;
  let found = stop.exec(code);
  // `[u8; 32]` in a return type holds a semicolon that ends nothing.
  while (found?.[0] === ';' && opens(code.slice(from, found.index))) found = stop.exec(code);
  return found?.[0] === '{' ? found.index : -1;
}

function opens(text: string): boolean {
  return text.split('[').length > text.split(']').length;
}

/** The name before a parameter list, generic parameters skipped; empty for an arrow's. */
function headerBefore(code: string, open: number): { name: string; start: number } {
  let end = open;
  if (code[end - 1] === '>') end = openingAngle(code, end - 1);
  const name = /(?:\bfunction\s*\*?\s*)?(#?[\w$]+)?\s*$/.exec(code.slice(Math.max(0, end - 160), end));
  const text = name?.[0] ?? '';
  const bare = text.includes('function') ? (name?.[1] ?? 'function') : text.trim();
  return { name: bare === 'async' ? '' : bare, start: bare === '' ? open : end - text.trimStart().length };
}

function openingAngle(code: string, close: number): number {
  let depth = 0;
  for (let at = close; at >= 0; at -= 1) {
    if (code[at] === '>' && code[at - 1] !== '=') depth += 1;
    else if (code[at] === '<') depth -= 1;
    if (depth === 0) return at;
  }
  return close;
}

/** What follows a parameter list: a body in braces, an arrow, or (null) neither. A return type may stand between. */
function bodyAfter(code: string, from: number): { arrow: boolean; brace: number | null } | null {
  let at = skipSpace(code, from);
  if (code[at] === ':') at = skipType(code, at + 1);
  if (code.startsWith('=>', at)) {
    const next = skipSpace(code, at + 2);
    return { arrow: true, brace: code[next] === '{' ? next : null };
  }
  return code[at] === '{' ? { arrow: false, brace: at } : null;
}

/** Behind a type: at its body's brace, its arrow, or whatever ends it. A brace where a type is due is part of it. */
function skipType(code: string, from: number): number {
  for (let at = from; at < code.length; at += 1) {
    const char = code[at] ?? '';
    const due = /(?:[:|&,<(=[?]|=>|\b(?:is|keyof|extends|readonly|asserts))\s*$/.test(code.slice(from - 1, at));
    if (char === '{' && !due) return at;
    if (char === '=' && code[at + 1] === '>') {
      // An arrow behind a parenthesis belongs to a function type only where another arrow or brace follows.
      return at;
    }
    if (pairs[char] !== undefined) {
      const end = closing(code, at);
      if (end < 0) return code.length;
      at = end;
    } else if (/[;,)}\]=]/.test(char)) return at;
  }
  return code.length;
}

function isDescribe(code: string, open: number): boolean {
  return /\bdescribe\(\s*['"`][^'"`]*['"`]\s*,\s*(?:\{[^}]*\}\s*,\s*)?(?:async\s*)?$/.test(
    code.slice(Math.max(0, open - 300), open),
  );
}

function skipSpace(code: string, from: number): number {
  let at = from;
  while (/\s/.test(code[at] ?? '')) at += 1;
  return at;
}

/** Items of a comma-separated list, what is nested apart. */
export function countItems(list: string): number {
  let items = 0;
  let filled = false;
  for (let at = 0; at < list.length; at += 1) {
    const char = list[at] ?? '';
    if (char === ',') {
      items += filled ? 1 : 0;
      filled = false;
      continue;
    }
    if (/\S/.test(char)) filled = true;
    const end = pairs[char] === undefined ? -1 : closing(list, at);
    if (end > at) at = end;
  }
  return items + (filled ? 1 : 0);
}

export function lineAt(code: string, position: number): number {
  let line = 1;
  for (let at = code.indexOf('\n'); at >= 0 && at < position; at = code.indexOf('\n', at + 1)) line += 1;
  return line;
}
