import { codeRules } from './code-rules.ts';
import { importRules } from './import-rules.ts';
import { nameRules } from './name-rules.ts';
import type { Rule } from './rule.ts';
import { sizeRules } from './size-rules.ts';

/** Every rule of the house that a program can check; docs/style.md has them all, these and the others. */
export const rules: readonly Rule[] = [...sizeRules, ...nameRules, ...importRules, ...codeRules];
