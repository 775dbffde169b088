import { existsSync, readdirSync } from 'node:fs';
import { relative } from 'node:path';
import { run } from './command.mjs';
import { root } from './places.mjs';
import { Tally } from './tally.mjs';

const fileLimitSeconds = 600;

/** Compiled test files below `folders`. Found by their sources: what tsc left of a removed one is not run. */
export function testFiles(folders) {
  return folders
    .flatMap((folder) => sources(`${root}/${folder}`))
    .map(compiled)
    .sort();
}

function sources(folder) {
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((file) => file.isFile() && file.name.endsWith('.test.ts'))
    .map((file) => relative(root, `${file.parentPath ?? file.path}/${file.name}`))
    .filter((path) => !/(^|\/)(dist|node_modules)\//.test(path));
}

/** packages/x/src/a.test.ts → packages/x/dist/a.test.js; test/a.test.ts → test/dist/a.test.js; bench alike. */
function compiled(source) {
  const script = source.replace(/\.ts$/, '.js');
  if (script.startsWith('packages/')) return script.replace('/src/', '/dist/');
  return script.replace(/^(\w+)\//, '$1/dist/');
}

/** Runs compiled test files under node:test, each in a process of its own. */
export async function runNodeTests(files, limitSeconds) {
  const tally = new Tally();
  const output = new Map();
  const silent = new Set(files.map((file) => `${root}/${file}`));
  const stray = [];
  const onLine = (line) => {
    const event = parse(line);
    if (event === null) return void stray.push(line);
    silent.delete(event.file);
    if (event.kind === 'output') output.set(event.file, (output.get(event.file) ?? '') + event.text);
    if (event.kind === 'outcome') count(tally, event, output.get(event.file) ?? '');
  };
  const reporter = `--test-reporter=${root}/deploy/reporter.mjs`;
  const args = ['--test', `--test-timeout=${fileLimitSeconds * 1000}`, reporter, ...files];
  const { code, timedOut } = await run(process.execPath, args, { cwd: root, limitSeconds, onLine });
  if (timedOut) tally.fail(`not ended within ${limitSeconds} s`, `not heard of:\n${[...silent].join('\n')}`);
  else if (code !== 0 && tally.failures.length === 0) tally.fail('node --test', stray.slice(-40).join('\n'));
  return tally;
}

function parse(line) {
  try {
    return line.startsWith('{"kind"') ? JSON.parse(line) : null;
  } catch {
    return null;
  }
}

function count(tally, event, output) {
  const path = relative(root, event.file ?? '');
  const ofFile = event.nesting === 0 && event.name.endsWith('.js') && `${root}/${path}`.endsWith(event.name);
  const name = ofFile ? path : `${path}: ${event.name}`;
  if (!event.passed) tally.fail(name, `${event.detail}\n${tail(output)}`);
  else if (event.skipped) tally.skip(name, event.reason);
  else if (ofFile) tally.fail(name, 'it holds no test, or ended before its first');
  else tally.pass();
}

function tail(text) {
  return text === '' ? '' : `output of the file:\n${text.slice(-8000)}`;
}
