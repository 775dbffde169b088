import assert from 'node:assert/strict';

import type { ErrorShape } from '@millpool/protocol';

import type { CommandResult } from './millpool-process.ts';

/** What a command that did all printed with `--json`, an object a line. */
export function objectsOf<T = Record<string, unknown>>({ code, stdout, stderr }: CommandResult): T[] {
  assert.equal(code, 0, stderr);
  return linesOf(stdout).map((line) => JSON.parse(line) as T);
}

/** The one error of a command that failed with `--json`; held to what every error promises. */
export function errorOf(result: CommandResult): ErrorShape {
  const [error, ...others] = errorsOf(result);
  assert.ok(error !== undefined && others.length === 0, `one error: ${result.stderr}`);
  return error;
}

/** The same of a command that did a part, or nothing. */
export function errorsOf({ stderr }: CommandResult): ErrorShape[] {
  const errors = linesOf(stderr).flatMap((line) => {
    const error = line.startsWith('{"error"') ? (JSON.parse(line) as { error: ErrorShape }).error : null;
    return error === null ? [] : [error];
  });
  for (const { message, remedy } of errors) {
    assert.ok(message !== '' && !message.includes('\n'), `one sentence: ${message}`);
    assert.notEqual(remedy, '', `a remedy for: ${message}`);
  }
  return errors;
}

export function linesOf(text: string): string[] {
  return text.split('\n').filter((line) => line !== '');
}
