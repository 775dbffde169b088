import { run } from './command.mjs';
import { root } from './places.mjs';
import { NoPython, pythonEnvironment } from './python-environment.mjs';
import { Tally } from './tally.mjs';

const folder = 'packages/python';
const withTorch = 'tests/with_torch';

/** Runs pytest over packages/python, each test counted; on a machine without Python it is one skip that says so. */
export function runPythonTests(limitSeconds) {
  return withPython('python', [], (python) => runPytest(python, [`--ignore=${withTorch}`], limitSeconds));
}

/** Those that need torch, pandas and their like, which are installed for them. */
export function runTorchTests(limitSeconds) {
  const lists = ['requirements-torch.txt'];
  return withPython('torch', lists, (python) => runPytest(python, [withTorch], limitSeconds));
}

async function runPytest(python, args, limitSeconds) {
  const tally = new Tally();
  const stray = [];
  const onLine = (line) => {
    const event = parse(line);
    if (event === null) stray.push(line);
    else count(tally, event);
  };
  const quiet = ['-p', 'pytest_reporter', '-p', 'no:terminal'];
  const options = { cwd: `${root}/${folder}`, env: environment(), limitSeconds, onLine };
  const { code, timedOut } = await run(python, ['-m', 'pytest', ...quiet, ...args], options);
  if (timedOut) tally.fail(`pytest did not end within ${limitSeconds} s`, stray.slice(-40).join('\n'));
  else if (code !== 0 && tally.failures.length === 0) tally.fail('pytest', stray.slice(-40).join('\n'));
  else if (tally.size === 0) tally.fail('no test of Python ran', stray.slice(-40).join('\n'));
  return tally;
}

/** Formatter, linter and both type checkers. */
export function runPythonLinters(check) {
  return withPython('python linters', [], async (python) => {
    const tally = new Tally();
    const module = (name, ...args) => check(name, python, ['-m', name, ...args]);
    const config = `${root}/${folder}/pyproject.toml`;
    tally.add(await module('ruff', 'format', '--check', '--quiet', '--config', config, folder, 'deploy', 'bench'));
    tally.add(await module('ruff', 'check', '--quiet', '--config', config, folder, 'deploy', 'bench'));
    tally.add(await check('mypy', python, ['-m', 'mypy', '--config-file', config], `${root}/${folder}`));
    tally.add(await check('pyright', `${root}/node_modules/.bin/pyright`, ['--pythonpath', python, '-p', folder]));
    return tally;
  });
}

async function withPython(name, lists, body) {
  try {
    return await body(await pythonEnvironment(lists));
  } catch (error) {
    if (!(error instanceof NoPython)) throw error;
    const tally = new Tally();
    tally.skip(name, error.message);
    return tally;
  }
}

function environment() {
  return {
    PYTHONPATH: [`${root}/${folder}/src`, `${root}/deploy`].join(':'),
    PYTHONDONTWRITEBYTECODE: '1',
    PYTHONUNBUFFERED: '1',
  };
}

function parse(line) {
  try {
    return line.startsWith('{"kind"') ? JSON.parse(line) : null;
  } catch {
    return null;
  }
}

function count(tally, { name, passed, skipped, reason, detail }) {
  if (!passed) tally.fail(name, detail.slice(-8000));
  else if (skipped) tally.skip(name, reason);
  else tally.pass();
}
