import { run } from './command.mjs';
import { root } from './places.mjs';
import { Tally } from './tally.mjs';

/**
 * Runs `cargo test` and reads what its test programs print. A Rust test that cannot run here prints a line
 * `skipped: REASON` and returns; it is counted as skipped.
 */
export async function runCargoTests(args, { env = {}, filter = [], limitSeconds }) {
  const lines = [];
  const command = ['test', '--release', '--no-fail-fast', '--manifest-path', 'native/Cargo.toml', ...args];
  const { code, timedOut } = await run('cargo', [...command, '--', '--show-output', ...filter], {
    cwd: root,
    env: { CARGO_TERM_COLOR: 'never', ...env },
    limitSeconds,
    onLine: (line) => lines.push(line),
  });
  const tally = readOutput(lines);
  const explain = () => lines.slice(-60).join('\n');
  if (timedOut) tally.fail(`not ended within ${limitSeconds} s`, explain());
  else if (code !== 0 && tally.failures.length === 0) tally.fail(`cargo ${command.join(' ')}`, explain());
  else if (tally.size === 0) tally.fail('no test ran', explain());
  return tally;
}

/** What the lines of `cargo test -- --show-output` say. */
export function readOutput(lines) {
  const tally = new Tally();
  const placed = withTargets(lines);
  const printed = outputByTest(placed);
  for (const { target, line } of placed) {
    const outcome = /^test (.+?) \.\.\. (ok|FAILED|ignored)(?:, (.*))?$/.exec(line);
    const died = /didn't exit successfully.*\(signal: /.test(line);
    if (died) tally.fail(`${target}: the test program died`, line.trim());
    if (outcome === null) continue;
    const [, test, verdict, reason = ''] = outcome;
    count(tally, { name: `${target}: ${test}`, verdict, reason }, printed);
  }
  return tally;
}

/** Each line with the test program that it belongs to. */
function withTargets(lines) {
  let target = '';
  return lines.map((line) => {
    const begins = /^\s+(?:Running (?:unittests )?(.+) \(|Doc-tests (.+)$)/.exec(line);
    target = begins?.[1] ?? begins?.[2] ?? target;
    return { target, line };
  });
}

function count(tally, { name, verdict, reason }, printed) {
  const text = printed.get(name) ?? '';
  const skipped = /^skipped: (.*)$/m.exec(text)?.[1];
  if (verdict === 'FAILED') tally.fail(name, text.slice(-8000));
  else if (verdict === 'ignored') tally.skip(name, reason);
  else if (skipped !== undefined) tally.skip(name, skipped);
  else tally.pass();
}

/** Each test's captured output, from the sections between the outcomes and the result line. */
function outputByTest(placed) {
  const printed = new Map();
  let name = null;
  for (const { target, line } of placed) {
    const begins = /^---- (.+) stdout ----$/.exec(line);
    if (begins !== null) name = `${target}: ${begins[1]}`;
    else if (/^(successes|failures|test result):/.test(line)) name = null;
    else if (name !== null) printed.set(name, `${printed.get(name) ?? ''}${line}\n`);
  }
  return printed;
}
