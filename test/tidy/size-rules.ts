import { closing, countItems, lineAt, rustFunctions, typeScriptFunctions, type FunctionShape } from './functions.ts';
import { isCode, isTypeScript, type Finding, type SourceFile } from './repository.ts';
import { eachFile, type Rule } from './rule.ts';

const fileLines = 500;
const functionLines = 70;
const columns = 120;
const parameters = 4;
const optionalFields = 6;

/** Options that a user of the SDK writes out by hand: many, each optional, by the promise of the interface. */
const publicOptions = /^packages\/client\/src\//;

function functionsOf(file: SourceFile): FunctionShape[] {
  return file.path.endsWith('.rs') ? rustFunctions(file.code) : typeScriptFunctions(file.code);
}

const hasFunctions = (path: string): boolean => /\.(ts|mjs|rs)$/.test(path) && !path.endsWith('.d.ts');

function longFile(file: SourceFile): Finding[] {
  const lines = file.text.trimEnd().split('\n').length;
  return lines > fileLines ? [{ path: file.path, line: 1, text: `${lines} lines` }] : [];
}

function wideLines(file: SourceFile): Finding[] {
  return file.text.split('\n').flatMap((text, index) => {
    const width = [...text].length;
    return width > columns ? [{ path: file.path, line: index + 1, text: `${width} columns` }] : [];
  });
}

function longFunctions(file: SourceFile): Finding[] {
  return functionsOf(file)
    .filter(({ lines }) => lines > functionLines)
    .map(({ name, line, lines }) => ({ path: file.path, line, text: `${name || 'an arrow'}: ${lines} lines` }));
}

function longParameterLists(file: SourceFile): Finding[] {
  return functionsOf(file)
    .filter((shape) => shape.parameters > parameters)
    .map(({ name, line, parameters: count }) => ({ path: file.path, line, text: `${name || 'an arrow'}: ${count}` }));
}

function optionsBags(file: SourceFile): Finding[] {
  return Array.from(file.code.matchAll(/\b(?:interface|type)\s+(\w+)[^={;]*=?\s*\{/g)).flatMap((match) => {
    const open = match.index + match[0].length - 1;
    const body = file.code.slice(open + 1, closing(file.code, open));
    const optional = countOptional(body);
    const text = `${match[1] ?? ''}: ${optional} optional fields`;
    return optional > optionalFields ? [{ path: file.path, line: lineAt(file.code, match.index), text }] : [];
  });
}

/** Optional fields of a type's own body; those of types nested in it are that type's. */
function countOptional(body: string): number {
  const flat = body.replace(/\{[^{}]*\}/g, '');
  return countItems(flat.split(/[;\n]/).filter((field) => /^\s*(?:readonly\s+)?\w+\?\s*:/.test(field)).map(() => 'x').join());
}

export const sizeRules: readonly Rule[] = [
  {
    name: 'file-length',
    what: `A code file has at most ${fileLines} lines.`,
    why: 'A file is read whole; past this size it holds more than one noun.',
    instead: 'Cut it where a second noun begins, and name the new file for that noun.',
    check: eachFile(isCode, longFile),
  },
  {
    name: 'function-length',
    what: `A function has at most ${functionLines} lines.`,
    why: 'It must be seen whole on one screen.',
    instead: 'Keep the decisions in it and push the steps down into functions with names.',
    check: eachFile(hasFunctions, longFunctions),
  },
  {
    name: 'line-width',
    what: `A line of code has at most ${columns} columns.`,
    why: 'Two files stand side by side on a screen.',
    instead: 'Break it, or name a part of it.',
    check: eachFile(isCode, wideLines),
  },
  {
    name: 'parameters',
    what: `A function takes at most ${parameters} positional parameters.`,
    why: 'At a call five values in a row cannot be told apart.',
    instead: 'Take one object of named fields, or find the type that these values are together.',
    check: eachFile(hasFunctions, longParameterLists),
  },
  {
    name: 'options-bag',
    what: `A type has at most ${optionalFields} optional fields.`,
    why: 'Each optional field doubles the states that somebody must test.',
    instead: 'Make them required with defaults decided in one place, or split the type by use.',
    check: eachFile((path) => isTypeScript(path) && !publicOptions.test(path), optionsBags),
  },
];
