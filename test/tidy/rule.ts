import { isCode, matches, type Finding, type Repository, type SourceFile } from './repository.ts';

/** A rule that a program can check. `instead` is what the finder of a finding is told to do. */
export interface Rule {
  readonly name: string;
  readonly what: string;
  readonly why: string;
  readonly instead: string;
  readonly check: (repository: Repository) => Finding[];
}

/** A check that looks at one file at a time. */
export function eachFile(
  applies: (path: string) => boolean,
  check: (file: SourceFile) => Finding[],
): (repository: Repository) => Finding[] {
  return (repository) => repository.files.filter(({ path }) => applies(path)).flatMap(check);
}

/** A check that no code (comments and strings apart) matches `pattern`. */
export function banned(applies: (path: string) => boolean, pattern: RegExp): (repository: Repository) => Finding[] {
  return eachFile((path) => isCode(path) && applies(path), (file) => matches(file, file.code, pattern));
}

/** A finding as it is printed, with the reason and the way out of its rule. */
export function explain(rule: Rule, findings: readonly Finding[]): string {
  const places = findings.map(({ path, line, text }) => `  ${path}:${line}: ${text}`);
  return [`${rule.what}`, `why: ${rule.why}`, `instead: ${rule.instead}`, ...places].join('\n');
}
