/** What a log never prints, by the name of its field … */
const secretNames = /secret|password|passphrase|token|credential|authorization|cookie|private|signature|access_?key/i;

/** … and by what it looks like inside a text: user and password of a URL, signing parameters, headers. */
const secretTexts: readonly (readonly [pattern: RegExp, replacement: string])[] = [
  [/([a-z][a-z0-9+.-]*:\/\/)[^/\s@:]+(?::[^/\s@]*)?@/gi, '$1[redacted]@'],
  [/([?&](?:X-Amz-(?:Signature|Credential|Security-Token)|Signature|AWSAccessKeyId|token)=)[^&\s"]+/gi, '$1[redacted]'],
  [/\b(authorization|x-amz-security-token|cookie)(["']?\s*[:=]\s*["']?)[^\n"']+/gi, '$1$2[redacted]'],
  [/\b(?:AKIA|ASIA)[A-Z0-9]{16}\b/g, '[redacted]'],
];

const depthMax = 8;

/** `value` with every secret in it replaced by `[redacted]`; `name` is the field that holds it. */
export function redact(name: string, value: unknown, depth = 0): unknown {
  if (secretNames.test(name) && value !== null && value !== undefined) return '[redacted]';
  if (typeof value === 'string') return redactText(value);
  if (typeof value === 'bigint') return value.toString();
  if (typeof value !== 'object' || value === null) return value;
  if (depth === depthMax) return '…';
  if (Array.isArray(value)) return value.map((member) => redact('', member, depth + 1));
  return Object.fromEntries(Object.entries(value).map(([key, member]) => [key, redact(key, member, depth + 1)]));
}

export function redactText(text: string): string {
  return secretTexts.reduce((clean, [pattern, replacement]) => clean.replace(pattern, replacement), text);
}
