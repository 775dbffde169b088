import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Claims } from './claims.ts';

function claimsOf(...said: readonly (readonly [id: string, line: string])[]): Claims {
  const claims = new Claims(2);
  for (const [id, line] of said) claims.add(id, line);
  return claims;
}

test('an owner after another is right, in whatever order the lines came', () => {
  const claims = claimsOf(['b', '30 0:2 1:1'], ['a', '10 0:1'], ['a', '20 0:1'], ['a', '40']);
  claims.check();
  assert.ok(claims.areAllOwnedBy(['b']) && !claims.areAllOwnedBy(['a']));
  assert.equal(claims.countOf('a'), 0);
});

test('one that still answers when another has begun is found, and so is a term with two owners', () => {
  assert.throws(() => claimsOf(['a', '10 0:1'], ['b', '20 0:2'], ['a', '21 0:1']).check(), /a in term 1 after b in 2/);
  assert.throws(() => claimsOf(['a', '10 0:1'], ['b', '20 0:1']).check(), /b in term 1 after a in 1/);
});
