import { MillpoolError } from './errors.ts';

/**
 * What came over a wire, made into `T` or refused as `invalid` with the field's name. A check builds a new value out of
 * the keys it knows, so a surprise key goes no further.
 */
export type Check<T> = (value: unknown, field: string) => T;

export const textBytesMax = 4096;
const surelyShortLength = Math.floor(textBytesMax / 3);

export function invalidField(field: string, fault: string): MillpoolError {
  return new MillpoolError({
    code: 'invalid',
    message: `${field} ${fault}`,
    remedy:
      'This is a message that this version cannot use; see docs/errors.md, and compare the versions of both sides.',
  });
}

export const text: Check<string> = (value, field) => {
  if (typeof value !== 'string') throw invalidField(field, 'is not text');
  if (value.length > surelyShortLength && Buffer.byteLength(value) > textBytesMax) {
    throw invalidField(field, `is longer than ${textBytesMax} bytes`);
  }
  return value;
};

export const flag: Check<boolean> = (value, field) => {
  if (typeof value !== 'boolean') throw invalidField(field, 'is not true or false');
  return value;
};

/** A whole number, both ends included. */
export function integer(min: number, max: number = Number.MAX_SAFE_INTEGER): Check<number> {
  return (value, field) => {
    if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < min || value > max) {
      throw invalidField(field, `is not a whole number from ${min} to ${max}`);
    }
    return value;
  };
}

export function numberWithin(min: number, max: number): Check<number> {
  return (value, field) => {
    if (typeof value !== 'number' || !(value >= min && value <= max)) {
      throw invalidField(field, `is not a number from ${min} to ${max}`);
    }
    return value;
  };
}

export function oneOf<const T extends string>(choices: readonly T[]): Check<T> {
  return (value, field) => {
    const choice = choices.find((candidate) => candidate === value);
    if (choice === undefined) throw invalidField(field, `is none of ${choices.join(', ')}`);
    return choice;
  };
}

export function orNull<T>(check: Check<T>): Check<T | null> {
  return (value, field) => (value === null ? null : check(value, field));
}

export function listOf<T>(check: Check<T>, lengthMax: number): Check<readonly T[]> {
  return (value, field) => {
    if (!Array.isArray(value)) throw invalidField(field, 'is not a list');
    if (value.length > lengthMax) throw invalidField(field, `has ${value.length} members, more than ${lengthMax}`);
    return value.map((member, index) => check(member, `${field}[${index}]`));
  };
}

export function record<T extends object>(checks: { readonly [K in keyof T]-?: Check<T[K]> }): Check<T> {
  const fields = Object.entries(checks) as [string, Check<unknown>][];
  return (value, field) => {
    const members = membersOf(value, field);
    return Object.fromEntries(fields.map(([name, check]) => [name, check(members.get(name), `${field}.${name}`)])) as T;
  };
}

export function membersOf(value: unknown, field: string): ReadonlyMap<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value) || ArrayBuffer.isView(value)) {
    throw invalidField(field, 'is not a record');
  }
  return new Map(Object.entries(value));
}
