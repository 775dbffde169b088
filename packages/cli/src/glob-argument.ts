import { InvalidArgumentError } from 'commander';

/** A glob as an option has it. */
export function globArgument(text: string): string {
  if (text === '') throw new InvalidArgumentError('It is empty, and matches nothing.');
  return text;
}
