import assert from 'node:assert/strict';
import { test } from 'node:test';

import type { Command } from 'commander';

import { examples } from './examples.ts';
import { rootCommand } from './program.ts';

const { root } = rootCommand();

/** Verbs that do something, by their names from the program down. */
function leaves(command: Command, names: readonly string[]): [string, Command][] {
  if (command.commands.length === 0) return [[names.join(' '), command]];
  return command.commands.flatMap((below) => leaves(below, [...names, below.name()]));
}

test('every verb has an example, of options that it has', () => {
  const verbs = new Map(leaves(root, []));
  assert.deepEqual(Object.keys(examples).sort(), [...verbs.keys()].sort());
  for (const [names, verb] of verbs) {
    const known = [...verb.options, ...root.options].flatMap(({ short, long }) => [short, long]);
    for (const line of examples[names] ?? []) {
      const [, own = ''] = /\bmillpool ([^|#]*)/.exec(line) ?? [];
      assert.ok(own.startsWith(names), `${line}: of ${names}`);
      for (const flag of own.match(/(?<= )--?[a-zA-Z][\w-]*/g) ?? []) {
        assert.ok(known.includes(flag), `${line}: ${names} has no ${flag}`);
      }
    }
  }
});
