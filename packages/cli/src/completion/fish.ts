import { allVerbs } from './verb.ts';
import type { Flag, Offer, Verb } from './verb.ts';

/** A script for `millpool completion fish | source`. */
export function fishScript(program: Verb): string {
  const lines = allVerbs(program).flatMap((verb) => [
    ...verb.below.map((child) =>
      complete(conditionOf(verb), `-f -a ${quoted(child.names.at(-1) ?? '')}`, child.description),
    ),
    ...(verb.below.length === 0 ? [complete(conditionOf(verb), offered(verb.argument), '')] : []),
    ...verb.flags.map((flag) =>
      complete(verb.names.length === 0 ? null : conditionOf(verb), flagWords(flag), flag.description),
    ),
  ]);
  return `# millpool: completion for fish\n${functions}\n${lines.join('\n')}`;
}

/** The value of an option before a verb counts as a word, and then only options are offered. */
const functions = `function __millpool_at
    set -l words
    for word in (commandline -opc)[2..-1]
        string match -q -- '-*' $word; or set -a words $word
    end
    set -l wanted $argv[2..-1]
    test (count $words) -ge (count $wanted); or return 1
    for i in (seq (count $wanted))
        test "$words[$i]" = "$wanted[$i]"; or return 1
    end
    test $argv[1] = below; or return 0
    test (count $words) -eq (count $wanted)
end

function __millpool_paths
    set -l token (commandline -ct)
    set -l directory (string replace -r '[^/]*$' '' -- $token)
    test -n "$directory"; or set directory /
    set -lx MILLPOOL_CALL_TIMEOUT 2s
    for name in (millpool ls $directory 2>/dev/null)
        echo $directory$name
    end
end
`;

/** Where a verb's own words may stand: those that are verbs directly after it, others anywhere after it. */
function conditionOf({ names, below }: Verb): string {
  return [below.length > 0 ? '__millpool_at below' : '__millpool_at after', ...names].join(' ');
}

function complete(condition: string | null, what: string, description: string): string {
  const when = condition === null ? '' : ` -n ${quoted(condition)}`;
  return `complete -c millpool${when} ${what}${description === '' ? '' : ` -d ${quoted(description)}`}`;
}

function flagWords({ names, value }: Flag): string {
  const written = names.map((name) => (name.startsWith('--') ? `-l ${name.slice(2)}` : `-s ${name.slice(1)}`));
  return [...written, ...(value === null ? [] : ['-r', offered(value)])].join(' ');
}

function offered(offer: Offer): string {
  switch (offer.kind) {
    case 'words':
      return `-f -a ${quoted(offer.words.join(' '))}`;
    case 'path':
      return "-f -a '(__millpool_paths)'";
    case 'file':
      return '-F';
    case 'any':
      return '-f';
  }
}

function quoted(text: string): string {
  return `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;
}
