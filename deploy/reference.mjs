// Writes the parts of the documents that say what the sources say: settings, commands, the SDK's declarations. Each
// stands between two marks in a document; what is around it is written by hand. Everything must be built before.
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { settingNames, settingTable } from '../packages/host/dist/index.js';
import { root } from './places.mjs';

const millpool = `${root}/packages/cli/bin/millpool.mjs`;
const sdk = `${root}/packages/client/dist/index.d.ts`;

/** Document → what writes its generated part. */
const parts = { 'docs/configuration.md': settings, 'docs/commands.md': commands, 'docs/api.md': declarations };

function settings() {
  const rows = settingNames.map((name) => {
    const { env, doc } = settingTable[name];
    return [`\`${name}\``, `\`${env}\``, doc, otherwise(settingTable[name])];
  });
  const head = ['| in a file | in the environment | what it is | without it |', '|---|---|---|---|'];
  return [...head, ...rows.map(tableRow)].join('\n');
}

/** Those that depend on the machine say so in words. */
function otherwise({ otherwiseDoc, otherwise: choose, text }) {
  if (otherwiseDoc !== undefined) return otherwiseDoc;
  const value = choose({}, {});
  return value === null ? '–' : text.write(value);
}

/** As a terminal shows them, each under a heading. */
function commands() {
  const named = (text) => Array.from(text.matchAll(/^ {2}([a-z]+)\b.*$/gm), ([, name]) => name);
  const listed = help([]).split('\nCommands:\n')[1] ?? '';
  return named(listed.split('\n\n')[0])
    .flatMap((name) => (name === 'help' ? [] : [`## ${name}`, block('text', help([name])), ...below(name)]))
    .join('\n\n');
}

/** Verbs of a verb: `dataset ls`. */
function below(name) {
  const listed = help([name]).split('\nCommands:\n')[1]?.split('\n\n')[0] ?? '';
  return Array.from(listed.matchAll(/^ {2}([a-z]+)\b/gm), ([, verb]) => verb)
    .filter((verb) => verb !== 'help')
    .map((verb) => block('text', help([name, verb])));
}

function help(verbs) {
  const env = { ...process.env, COLUMNS: '100' };
  return execFileSync(process.execPath, [millpool, ...verbs, '--help'], { encoding: 'utf8', env }).trimEnd();
}

/** What a package exports, in the order of its index, as the compiler declares it. */
function declarations() {
  const names = Array.from(readFileSync(sdk, 'utf8').matchAll(/^export (?:type )?\{ (.*) \} from/gm), ([, list]) =>
    list.split(', '),
  ).flat();
  return names.map((name) => `## ${name}\n\n${block('ts', declarationOf(name, sdk))}`).join('\n\n');
}

/** Follows a name from an index to the file that declares it. */
function declarationOf(name, file) {
  const text = readFileSync(file, 'utf8');
  const own = declared(name, text);
  if (own !== null) return tidied(spelledOut(own, text));
  for (const [, list, from] of text.matchAll(/^export (?:type )?\{([^}]*)\} from '(.*)';$/gm)) {
    if (list.split(',').some((each) => each.trim() === name)) return declarationOf(name, resolve(from, file));
  }
  throw new Error(`${file} does not say where ${name} is declared`);
}

/** With its comment; null where it is not declared in `text`. A body ends with the first brace of its column. */
function declared(name, text) {
  const comment = String.raw`(?:^/\*\*(?:(?!\*/)[^])*\*/\n)?`;
  const bodied = String.raw`(?:class|interface) ${name}\b[^]*?^\}$`;
  const plain = String.raw`(?:function|type|const) ${name}\b[^]*?;$`;
  return new RegExp(`${comment}^export (?:declare )?(?:${bodied}|${plain})`, 'm').exec(text)?.[0] ?? null;
}

/** A union that is taken from a list of choices, as the union; with the list's comment where it has none. */
function spelledOut(own, text) {
  const list = /= \(typeof (\w+)\)\[number\];$/.exec(own)?.[1];
  const choices = list === undefined ? null : declared(list, text);
  if (choices === null) return own;
  const [comment = ''] = /^\/\*\*(?:(?!\*\/)[^])*\*\/\n/.exec(choices) ?? [];
  const union = Array.from(choices.matchAll(/'[^']+'/g), ([choice]) => choice).join(' | ');
  return `${comment}${own.replace(/= .*/, `= ${union};`)}`;
}

function resolve(from, file) {
  const ours = /^@millpool\/([\w-]+)$/.exec(from)?.[1];
  if (ours !== undefined) return `${root}/packages/${ours}/dist/index.d.ts`;
  return join(dirname(file), from.replace(/\.ts$/, '.d.ts'));
}

/** Without what is nobody's to call, and with our indentation. */
function tidied(text) {
  return text
    .replace(/^export (?:declare )?/m, '')
    .replace(/^ +#private;\n/m, '')
    .replace(/(?:^ +\/\*\* For `[\w.]+`\. \*\/\n)?^ +constructor\([^]*?\);\n/m, '')
    .replace(/^(?: {4})+/gm, (indent) => ' '.repeat(indent.length / 2));
}

function block(language, text) {
  return `\`\`\`${language}\n${text}\n\`\`\``;
}

function tableRow(cells) {
  return `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
}

const isCheck = process.argv.includes('--check');
for (const [path, write] of Object.entries(parts)) {
  const before = readFileSync(`${root}/${path}`, 'utf8');
  const after = before.replace(
    /(<!-- written by deploy\/reference\.mjs -->\n)[^]*(<!-- end -->)/,
    (_, begin, end) => `${begin}\n${write()}\n\n${end}`,
  );
  if (after === before) continue;
  if (!isCheck) writeFileSync(`${root}/${path}`, after);
  else {
    process.stderr.write(`${path} is not what the sources say: run \`node deploy/reference.mjs\`\n`);
    process.exitCode = 1;
  }
}
