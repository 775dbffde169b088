import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { readRepository } from './repository.ts';
import { explain } from './rule.ts';
import { rules } from './rules.ts';

const repository = readRepository(fileURLToPath(new URL('../../../', import.meta.url)));

describe('the repository is tidy', () => {
  for (const rule of rules) {
    test(rule.name, () => {
      const findings = rule.check(repository);
      assert.equal(findings.length, 0, explain(rule, findings));
    });
  }
});
