import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, utimesSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { run } from './command.mjs';
import { root } from './places.mjs';
import { removeUnused } from './unused-environments.mjs';

/** The first whose buffer protocol is in the stable ABI, which the extension module is built for. */
const floor = [3, 11];
const installLimitSeconds = 900;

/** Why no environment can be had here; its message is a reason to skip by. */
export class NoPython extends Error {}

/**
 * An environment of its own with what tests and linters of packages/python need, made once and kept with the caches.
 * Programs in it are run as `python -m NAME`: it is put in place by rename, which their own paths do not survive.
 * @param {string[]} more lists of packages, by their names in packages/python, beside what all tests need.
 * @returns {Promise<string>} its python.
 * @throws {NoPython}
 */
export async function pythonEnvironment(more = []) {
  const lists = ['requirements-dev.txt', ...more].map((name) => `${root}/packages/python/${name}`);
  const { program, version } = installedPython();
  const hash = createHash('sha256');
  for (const list of lists) hash.update(readFileSync(list));
  const digest = hash.update(version).digest('hex').slice(0, 12);
  const caches = join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'millpool');
  const place = join(caches, `python-${version}-${digest}`);
  if (!existsSync(place)) await make(place, lists, program);
  const now = new Date();
  utimesSync(place, now, now);
  removeUnused(caches);
  return join(place, 'bin/python');
}

async function make(place, lists, program) {
  mkdirSync(dirname(place), { recursive: true });
  const next = mkdtempSync(`${place}-`);
  try {
    await step(program, ['-m', 'venv', next]);
    const install = ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check'];
    await step(join(next, 'bin/python'), [...install, ...lists.flatMap((list) => ['--requirement', list])]);
    if (!existsSync(place)) renameSync(next, place);
  } finally {
    rmSync(next, { recursive: true, force: true });
  }
}

async function step(program, args) {
  const lines = [];
  const onLine = (line) => lines.push(line);
  const { code } = await run(program, args, { cwd: root, limitSeconds: installLimitSeconds, onLine });
  if (code !== 0) throw new NoPython(`${program} ${args.slice(0, 3).join(' ')} failed: ${lines.slice(-5).join(' / ')}`);
}

/** The oldest that is new enough, so that nothing newer is needed without our noticing. */
function installedPython() {
  const found = candidates().map(asPython).filter(Boolean);
  const [oldest] = found.sort((one, other) => one.minor - other.minor);
  if (oldest !== undefined) return oldest;
  throw new NoPython(`no Python ${floor.join('.')} or newer was found on PATH; install one with its venv module`);
}

function candidates() {
  const minors = Array.from({ length: 8 }, (_, more) => floor[1] + more);
  const pyenv = join(process.env.PYENV_ROOT || join(homedir(), '.pyenv'), 'versions');
  const versions = existsSync(pyenv) ? readdirSync(pyenv).map((name) => join(pyenv, name, 'bin/python')) : [];
  return ['python3', ...minors.map((minor) => `python3.${minor}`), ...versions];
}

/** Null where it does not run, is too old, or cannot make environments. */
function asPython(program) {
  const script = 'import sys, venv, ensurepip; print(sys.executable, *sys.version_info[:3])';
  let told;
  try {
    told = execFileSync(program, ['-c', script], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'], cwd: root });
  } catch {
    return null;
  }
  const [executable, major, minor, patch] = told.trim().split(' ');
  if (Number(major) !== floor[0] || Number(minor) < floor[1]) return null;
  return { program: executable, minor: Number(minor), version: `${major}.${minor}.${patch}` };
}
