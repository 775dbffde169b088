import type { Argument, Command, Option } from 'commander';

/** What a shell offers for a word: one of some words, a path of the namespace, a local file; nothing for `any`. */
export type Offer =
  | { readonly kind: 'words'; readonly words: readonly string[] }
  | { readonly kind: 'path' | 'file' | 'any' };

/** An option as completion sees it. */
export interface Flag {
  /** Each begins with a dash: `-l`, `--long`. */
  readonly names: readonly string[];
  readonly description: string;
  /** Null for an option without a value. */
  readonly value: Offer | null;
}

/** A verb; the program itself is the one without names. */
export interface Verb {
  /** From the program down: `dataset`, `diff`. */
  readonly names: readonly string[];
  readonly description: string;
  readonly flags: readonly Flag[];
  readonly argument: Offer;
  readonly below: readonly Verb[];
}

const localNames = new Set(['dir', 'file', 'source']);

export function verbOf(command: Command, names: readonly string[] = []): Verb {
  const below = command.commands.map((child) => verbOf(child, [...names, child.name()]));
  const [first] = command.registeredArguments;
  const offered: Offer = first === undefined ? { kind: 'any' } : argumentOffer(first);
  return {
    names,
    description: command.description(),
    flags: [
      ...command.options.map((option) => flagOf(option, names.length === 0)),
      { names: ['-h', '--help'], description: 'display help', value: null },
    ],
    argument: below.length === 0 ? offered : { kind: 'words', words: below.map((verb) => verb.names.at(-1) ?? '') },
    below,
  };
}

/** A verb and all below it, itself first. */
export function allVerbs(verb: Verb): readonly Verb[] {
  return [verb, ...verb.below.flatMap(allVerbs)];
}

function flagOf(option: Option, isGlobal: boolean): Flag {
  const names = [option.short, option.long].filter((name) => name !== undefined);
  const { description } = option;
  if (!option.required && !option.optional) return { names, description, value: null };
  if (option.argChoices !== undefined) {
    return { names, description, value: { kind: 'words', words: option.argChoices } };
  }
  const wanted = /<(\w+)>/.exec(option.flags)?.[1] ?? '';
  // The one path that is of no namespace is the socket, for all verbs.
  const isLocal = localNames.has(wanted) || (isGlobal && wanted === 'path');
  return { names, description, value: { kind: isLocal ? 'file' : wanted === 'path' ? 'path' : 'any' } };
}

function argumentOffer(argument: Argument): Offer {
  if (argument.argChoices !== undefined) return { kind: 'words', words: argument.argChoices };
  const name = argument.name();
  return { kind: name === 'path' ? 'path' : localNames.has(name) ? 'file' : 'any' };
}
