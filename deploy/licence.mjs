/** Under these a dependency may be passed on with Millpool; where it offers several, the first here is taken. */
const accepted = ['MIT', 'ISC', 'BSD-2-Clause', 'BSD-3-Clause', '0BSD', 'Apache-2.0', 'Apache-2.0 WITH LLVM-exception'];

/**
 * The licences under which a package is used, all of which hold together: of an SPDX expression the alternative that
 * comes first in `accepted`. Throws where no alternative is accepted.
 * @param {string} expression such as `MIT OR Apache-2.0` or `(MIT OR ISC) AND BSD-3-Clause`
 * @returns {string[]}
 */
export function licencesOf(expression) {
  const tokens = expression.replaceAll('/', ' OR ').match(/[()]|[\w.+-]+(?: WITH [\w.-]+)?/g) ?? [];
  const parsed = alternatives(tokens);
  const fitting = parsed.filter((all) => all.every((licence) => accepted.includes(licence)));
  if (tokens.length > 0 || fitting.length === 0) throw new Error(`the licence ${expression} is not accepted`);
  const rank = (all) => Math.max(...all.map((licence) => accepted.indexOf(licence)));
  return fitting.sort((one, other) => rank(one) - rank(other))[0];
}

/** OR binds less than AND. Takes what it reads from `tokens`; each alternative is a list of licences. */
function alternatives(tokens) {
  const found = conjunction(tokens);
  while (tokens[0] === 'OR') {
    tokens.shift();
    found.push(...conjunction(tokens));
  }
  return found;
}

function conjunction(tokens) {
  let found = operand(tokens);
  while (tokens[0] === 'AND') {
    tokens.shift();
    const others = operand(tokens);
    found = found.flatMap((all) => others.map((more) => [...all, ...more]));
  }
  return found;
}

function operand(tokens) {
  const token = tokens.shift();
  if (token !== '(') return [[token]];
  const inside = alternatives(tokens);
  if (tokens.shift() !== ')') throw new Error('a parenthesis of a licence is not closed');
  return inside;
}
