import { execFileSync } from 'node:child_process';
import { existsSync, statfsSync } from 'node:fs';
import { root, targetDirectory } from './places.mjs';

/** What a clean build leaves behind, npm packages and both Rust profiles included; an incremental one needs little. */
const cleanBuildBytes = 4 * 2 ** 30;
const laterBuildBytes = 2 ** 29;

/** A reason why this machine cannot build, in one line with its remedy. */
export class FloorError extends Error {}

/** @throws {FloorError} */
export function checkFloors() {
  checkPlatform();
  checkNode();
  checkProgram('cargo', [1, 90], 'install stable Rust from https://rustup.rs');
  checkProgram('cc', [0, 0], 'install a C compiler (Debian and Ubuntu: apt-get install build-essential)');
  checkSpace();
}

function checkPlatform() {
  if (process.platform === 'linux' && ['x64', 'arm64'].includes(process.arch)) return;
  throw new FloorError(
    `Millpool runs on Linux x86-64 and arm64; this is ${process.platform} ${process.arch}. ` +
      'Use such a machine or a container.',
  );
}

function checkNode() {
  const { node } = process.versions;
  if (atLeast(node, [20, 19])) return;
  throw new FloorError(`Node 20.19 or later is needed; this is ${node}. Install it from https://nodejs.org`);
}

function checkProgram(program, floor, remedy) {
  let text;
  try {
    text = execFileSync(program, ['--version'], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'], cwd: root });
  } catch {
    throw new FloorError(`${program} was not found on PATH (or does not start); ${remedy}.`);
  }
  const version = /\d+\.\d+(\.\d+)?/.exec(text)?.[0] ?? '0.0';
  if (!atLeast(version, floor)) {
    throw new FloorError(`${program} ${floor.join('.')} or later is needed; this is ${version}. To update, ${remedy}.`);
  }
}

function atLeast(version, [major, minor]) {
  const [a = 0, b = 0] = version.split('.').map(Number);
  return a > major || (a === major && b >= minor);
}

function checkSpace() {
  const needBytes = existsSync(`${targetDirectory}/release`) ? laterBuildBytes : cleanBuildBytes;
  const { bavail, bsize } = statfsSync(root);
  const freeBytes = bavail * bsize;
  if (freeBytes >= needBytes) return;
  const gib = (bytes) => (bytes / 2 ** 30).toFixed(1);
  throw new FloorError(
    `Building needs about ${gib(needBytes)} GiB of disk and ${gib(freeBytes)} GiB are free; ` +
      'make room, or set CARGO_TARGET_DIR.',
  );
}
