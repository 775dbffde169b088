// Builds, runs every suite, and ends with one line: N passed, N failed, N skipped.
import { fileURLToPath } from 'node:url';
import { build, BuildError } from './build.mjs';
import { runCargoTests } from './cargo-suite.mjs';
import { run } from './command.mjs';
import { FloorError } from './floors.mjs';
import { runNodeTests, testFiles } from './node-suite.mjs';
import { bin, root, targetDirectory } from './places.mjs';
import { runPythonLinters, runPythonTests, runTorchTests } from './python-suite.mjs';
import { Tally } from './tally.mjs';

const withExtra = '--torch';
const isTidy = (file) => file.startsWith('test/dist/tidy/');
const all = () => testFiles(['packages', 'test', 'bench']);

/** In the order in which a mistake is cheapest to hear of. */
const suites = [
  { name: 'tidy', run: () => runNodeTests(all().filter(isTidy), 300) },
  { name: 'lint', run: runLinters },
  {
    name: 'typescript',
    run: () =>
      runNodeTests(
        all().filter((file) => !isTidy(file)),
        2400,
      ),
  },
  { name: 'python', run: () => runPythonTests(1200) },
  // Installs 6 GB the first time, so it is run only where it is asked for: `npm test -- --torch`.
  { name: 'torch', run: () => runTorchTests(1200), isExtra: true },
  { name: 'rust', run: () => runCargoTests(['--workspace'], { limitSeconds: 1800 }) },
  { name: 'loom', run: runLoom },
];

/** The key table's protocol under every interleaving of a small model. --cfg loom swaps atomics, so it builds apart. */
function runLoom() {
  return runCargoTests(['-p', 'millpool-core', '--lib'], {
    env: { RUSTFLAGS: `${process.env.RUSTFLAGS ?? ''} --cfg loom`.trim(), CARGO_TARGET_DIR: `${targetDirectory}/loom` },
    filter: ['loom'],
    limitSeconds: 900,
  });
}

/** Programs whose exit code is the verdict, those that need no compiler first. */
async function runLinters() {
  const manifest = ['--manifest-path', 'native/Cargo.toml'];
  const tally = new Tally();
  tally.add(await check('oxlint', bin('oxlint'), ['--deny-warnings']));
  tally.add(await check('oxfmt', bin('oxfmt'), ['--check', '.']));
  tally.add(await checkCargo('fmt', ['fmt', '--all', '--check', ...manifest]));
  const targets = ['--lib', '--bins', '--tests'];
  const denied = ['--', '--deny', 'warnings'];
  tally.add(await runPythonLinters(check));
  tally.add(await checkCargo('clippy', ['clippy', '--quiet', '--workspace', ...targets, ...manifest, ...denied]));
  return tally;
}

/** A component of the Rust toolchain that is not installed is no failure of ours. */
async function checkCargo(component, args) {
  const { code } = await run('cargo', [component, '--version'], { cwd: root, onLine: () => {} });
  if (code === 0) return check(`cargo ${component}`, 'cargo', args);
  const tally = new Tally();
  tally.skip(`cargo ${component}`, `rustup component add ${component === 'fmt' ? 'rustfmt' : component}`);
  return tally;
}

async function check(name, program, args, cwd = root) {
  const tally = new Tally();
  const lines = [];
  const { code } = await run(program, args, { cwd, limitSeconds: 600, onLine: (line) => lines.push(line) });
  if (code === 0) tally.pass();
  else tally.fail(name, lines.join('\n'));
  return tally;
}

/** Types are checked by building: a build that fails is the one failure. */
async function buildAndCheckTypes() {
  const tally = new Tally();
  try {
    await build();
    tally.pass();
  } catch (error) {
    if (!(error instanceof FloorError || error instanceof BuildError)) throw error;
    tally.fail('build and types', error.message);
  }
  return tally;
}

async function runSuite(name, body) {
  const startedAt = performance.now();
  process.stdout.write(`\n== ${name}\n`);
  const tally = await body();
  tally.print();
  process.stdout.write(`${name}: ${tally.counts} (${((performance.now() - startedAt) / 1000).toFixed(1)} s)\n`);
  return tally;
}

async function main(args) {
  const wanted = args.filter((arg) => arg !== withExtra);
  const isChosen = ({ name, isExtra }) =>
    wanted.includes(name) || (isExtra ? args.includes(withExtra) : wanted.length === 0);
  const total = await runSuite('build and types', buildAndCheckTypes);
  const chosen = suites.filter(isChosen);
  if (total.failures.length === 0) {
    for (const suite of chosen) total.add(await runSuite(suite.name, suite.run));
  }
  process.stdout.write('\n');
  total.print();
  process.stdout.write(`${total.counts}\n`);
  process.exitCode = total.failures.length === 0 ? 0 : 1;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await main(process.argv.slice(2));
