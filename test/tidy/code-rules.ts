import { isCode, isTest, isTypeScript, matches, type Finding, type SourceFile } from './repository.ts';
import { banned, eachFile, type Rule } from './rule.ts';

/** The folders whose programs own their process: they may print and end it. */
const ownsProcess = /^(packages\/cli|test|bench|deploy)\//;
const anywhere = (): boolean => true;
const inProduct = (path: string): boolean => isTypeScript(path) && !ownsProcess.test(path) && !path.endsWith('.test.ts');

/** A wait for time in a test must say on its line, or on the one above, what it waits for: `// waits: …`. */
const waitMark = /\/\/ waits: \S/;

function unexplainedWaits(file: SourceFile): Finding[] {
  const lines = file.text.split('\n');
  const isMarked = ({ line }: Finding): boolean =>
    waitMark.test(lines[line - 1] ?? '') || waitMark.test(lines[line - 2] ?? '');
  const calls = file.path.endsWith('.rs') ? /\bsleep\(/g : /\b(?:setTimeout|sleep|delay)\(/g;
  return matches(file, testPart(file), calls).filter((finding) => !isMarked(finding));
}

/** A Rust file's tests stand in the module at its end; the code before it is blanked to keep lines in place. */
function testPart({ path, code }: SourceFile): string {
  if (!path.endsWith('.rs') || /\/tests\//.test(path)) return code;
  const start = code.search(/#\[cfg\((?:all\()?test\b/);
  return start < 0 ? '' : code.slice(0, start).replace(/[^\n]/g, ' ') + code.slice(start);
}

function leftovers(file: SourceFile): Finding[] {
  return matches(file, file.text, /\b(?:TODO|FIXME|XXX|HACK)\b|\bin a real (?:implementation|system)\b/g);
}

function typeEscapes(file: SourceFile): Finding[] {
  const inCode = matches(file, file.code, /\bas any\b|[:<]\s*any\b(?!\w)|\bas unknown as\b/g);
  return [...inCode, ...matches(file, file.text, /\/[/*]\s*@ts-(?:ignore|expect-error|nocheck)\b/g)];
}

const isTidyItself = (path: string): boolean => path.startsWith('test/tidy/');
const mayWait = (path: string): boolean =>
  path.endsWith('.rs') ? path.startsWith('native/') : isTypeScript(path) && isTest(path);

const valueRules: readonly Rule[] = [
  {
    name: 'thrown-errors',
    what: 'Only errors are thrown.',
    why: 'Anything else has no stack and no code.',
    instead: 'Throw a MillpoolError with its code and remedy.',
    check: banned((path) => !path.endsWith('.rs'), /\bthrow\s+(?:['"`{[\d]|null\b|undefined\b)/g),
  },
  {
    name: 'type-escapes',
    what: 'Types are not escaped from.',
    why: 'The compiler stops checking exactly where somebody was unsure.',
    instead: 'Narrow with a check, or give the value its true type where it is made.',
    check: eachFile(isTypeScript, typeEscapes),
  },
  {
    name: 'console',
    what: 'Outside packages/cli nothing writes to the console.',
    why: 'A library that prints breaks the output of the program that uses it.',
    instead: 'Return the value, or use the log of @millpool/host.',
    check: banned(inProduct, /\bconsole\.|\bprocess\.stdout\b/g),
  },
  {
    name: 'process-exit',
    what: 'Outside packages/cli nothing ends the process.',
    why: 'What is open elsewhere in the process is then not closed.',
    instead: 'Throw, and let the entry point choose the exit code.',
    check: banned(inProduct, /\bprocess\.exit\b/g),
  },
];

const testRules: readonly Rule[] = [
  {
    name: 'sleeping-tests',
    what: 'A test waits for an event, not for time.',
    why: 'It is slow on a fast machine and fails on a slow one.',
    instead: 'Await the event, or poll a condition with a deadline and mark the line `// waits: for what`.',
    check: eachFile(mayWait, unexplainedWaits),
  },
  {
    name: 'ignored-rust-tests',
    what: 'No Rust test is marked #[ignore].',
    why: 'It stops being run and nobody hears of it.',
    instead: 'Print `skipped: REASON` and return where the machine cannot run it; the reason is shown.',
    check: banned(anywhere, /#\[ignore\b/g),
  },
  {
    name: 'skipped-tests',
    what: 'No test is skipped, chosen alone or postponed in its declaration, or skipped without a reason.',
    why: 'A suite that runs less than it shows is worse than none.',
    instead: 'Decide at run time and give the reason: t.skip(reason) or { skip: reason }.',
    check: banned(isTest, /\b(?:test|it|describe|suite)\.(?:skip|only|todo)\(|\b(?:skip|only|todo):\s*true\b|\.skip\(\s*\)/g),
  },
  {
    name: 'leftovers',
    what: 'No note about work to be done is left in code.',
    why: 'It is not done, and nobody is reminded.',
    instead: 'Do it, or open an issue.',
    check: eachFile((path) => isCode(path) && !isTidyItself(path), leftovers),
  },
];

export const codeRules: readonly Rule[] = [...valueRules, ...testRules];
