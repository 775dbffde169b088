import { join, resolve } from 'node:path';

export const repository = resolve(import.meta.dirname, '../../..');

/** The native program of the benches (native/bench). */
export const benchProgram = join(
  process.env['CARGO_TARGET_DIR'] ?? join(repository, 'native/target'),
  'release/millpool-bench',
);

/** A compiled program of `laps/`, as a command. */
export function lapProgram(name: string): readonly string[] {
  return [process.execPath, resolve(import.meta.dirname, 'laps', `${name}.js`)];
}
