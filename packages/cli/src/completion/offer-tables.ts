import { allVerbs } from './verb.ts';
import type { Offer, Verb } from './verb.ts';

/**
 * What bash and zsh look up, as functions that both can read; each sets REPLY. `_millpool_offer VERB OPTION` is what
 * may stand after an option ('' for an argument): `words W…`, `path`, `file`, `any`, or empty for an option without a
 * value. `_millpool_options VERB` are a verb's options. `_millpool_is_verb VERB WORD` succeeds where WORD is a verb
 * below VERB.
 */
export function offerTables(program: Verb): string {
  const verbs = allVerbs(program);
  const [root, ...named] = verbs;
  const globals = root?.flags ?? [];
  const valued = verbs.flatMap(({ names, flags }) =>
    flags.flatMap(({ names: written, value }) => {
      if (value === null) return [];
      const verb = names.length === 0 ? '*' : quoted(names.join(' '));
      return written.map((flag) => `${verb}${quoted(` ${flag}`)}) REPLY=${quoted(textOf(value))} ;;`);
    }),
  );
  return [
    ...functionOf('_millpool_offer', '"$1 $2"', [
      // What is of all verbs comes last, so that a verb's own option goes before it.
      ...valued.toReversed(),
      ...verbs.map(({ names, argument }) => `${quoted(`${names.join(' ')} `)}) REPLY=${quoted(textOf(argument))} ;;`),
      `*) REPLY='' ;;`,
    ]),
    ...functionOf('_millpool_options', '"$1"', [
      ...named.map(
        ({ names, flags }) => `${quoted(names.join(' '))}) REPLY=${quoted(flagNames([...flags, ...globals]))} ;;`,
      ),
      `*) REPLY=${quoted(flagNames(globals))} ;;`,
    ]),
    ...functionOf('_millpool_is_verb', '"${1:+$1 }$2"', [
      `${named.map(({ names }) => quoted(names.join(' '))).join('|')}) return 0 ;;`,
      '*) return 1 ;;',
    ]),
  ].join('\n');
}

function functionOf(name: string, subject: string, cases: readonly string[]): readonly string[] {
  return [`${name}() {`, `  case ${subject} in`, ...cases.map((line) => `    ${line}`), '  esac', '}', ''];
}

function textOf(offer: Offer): string {
  return offer.kind === 'words' ? `words ${offer.words.join(' ')}` : offer.kind;
}

function flagNames(flags: Verb['flags']): string {
  return [...new Set(flags.flatMap(({ names }) => names))].join(' ');
}

/** One word of a shell's, whatever is in it. */
export function quoted(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}
