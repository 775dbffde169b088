import { readFile } from 'node:fs/promises';
import { request as httpRequest } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { rootCertificates } from 'node:tls';

import type { Environment } from '@millpool/host';
import type { AwsFindings } from '@millpool/under-storage';

import { fail, ok, warn } from './check.ts';
import type { Check } from './check.ts';

const answerMs = 5_000;
/** S3 refuses signatures whose time is off by 15 minutes; ages of objects are off by any. */
const skewWarnMs = 5_000;
const skewFailMs = 15 * 60_000;

/** What AWS's settings come to, and whether their half is missing. `isNeeded`: something is attached that uses them. */
export function awsChecks(env: Environment, found: AwsFindings, isNeeded: boolean): readonly Check[] {
  if (found.fault !== null) return [fail('AWS settings', sentence(found.fault.message), found.fault.remedy)];
  const where = found.endpoint ?? `AWS${found.region === null ? '' : ` in ${found.region}`}`;
  const half = halfOf(env);
  return [
    ...(half === null ? [] : [fail('AWS credentials', half, 'Set both, or unset both.')]),
    found.endpoint === null && found.region === null && isNeeded
      ? warn('AWS region', 'No region is set.', 'Set AWS_REGION, or `region` in the profile.')
      : ok('AWS endpoint', `S3 is asked at ${where}.`),
    ...(half === null ? [credentials(found, isNeeded)] : []),
  ];
}

function halfOf(env: Environment): string | null {
  const [id, secret] = [env['AWS_ACCESS_KEY_ID'] ?? '', env['AWS_SECRET_ACCESS_KEY'] ?? ''];
  if ((id === '') === (secret === '')) return null;
  const [there, missing] = ['AWS_ACCESS_KEY_ID', 'AWS_SECRET_ACCESS_KEY'];
  return id === '' ? `${missing} is set and ${there} is not.` : `${there} is set and ${missing} is not.`;
}

function credentials({ credentials: state, expiresAtMs }: AwsFindings, isNeeded: boolean): Check {
  const name = 'AWS credentials';
  const end = expiresAtMs === null ? '' : new Date(expiresAtMs).toISOString();
  switch (state) {
    case 'found':
      return ok(name, expiresAtMs === null ? 'There are some, without an end.' : `There are some, until ${end}.`);
    case 'expired':
      return fail(name, `They ended at ${end}.`, 'Get new ones (`aws sso login`, or whatever gave you these).');
    case 'none': {
      const remedy = 'Set them, name a profile (AWS_PROFILE), or attach public buckets with --anonymous.';
      return isNeeded ? warn(name, 'There are none.', remedy) : ok(name, 'There are none, and none are needed.');
    }
  }
}

/** Whether an endpoint answers, and whether its clock and ours agree. */
export async function endpointChecks(endpoint: string, authorityFiles: readonly string[]): Promise<readonly Check[]> {
  const name = `source ${endpoint}`;
  const askedMs = Date.now();
  const date = await dateOf(endpoint, authorityFiles).catch((error: unknown) => error as Error);
  if (date instanceof Error) {
    const remedy = 'Look whether it is well (`curl` it), and what lies between here and there.';
    return [fail(name, `It does not answer: ${date.message}.`, remedy)];
  }
  if (date === null) return [ok(name, 'It answers, without saying the time.')];
  // Its seconds are whole, and it wrote them at some time between question and answer.
  const skewMs = Math.max(0, askedMs - date - 1_000, date - Date.now());
  const seconds = Math.round(skewMs / 1_000);
  if (skewMs < skewWarnMs) return [ok(name, 'It answers, and its clock agrees with ours.')];
  const remedy = 'Set the clock of this machine, or of the source: run NTP.';
  const said = `Its clock and ours are ${seconds} s apart`;
  return skewMs < skewFailMs
    ? [warn(name, `${said}: what was just written may be kept too early or too late.`, remedy)]
    : [fail(name, `${said}: signatures are refused from 900 s on.`, remedy)];
}

/** Of the `Date` of whatever it answers; null where there is none. */
async function dateOf(endpoint: string, authorityFiles: readonly string[]): Promise<number | null> {
  const isTls = endpoint.startsWith('https:');
  const authorities = await Promise.all(authorityFiles.map((file) => readFile(file, 'utf8').catch(() => '')));
  const options = {
    method: 'HEAD',
    timeout: answerMs,
    ...(isTls ? { ca: [...rootCertificates, ...authorities] } : {}),
  };
  return new Promise((resolve, reject) => {
    const asked = (isTls ? httpsRequest : httpRequest)(endpoint, options, (answer) => {
      answer.resume();
      const date = Date.parse(answer.headers.date ?? '');
      resolve(Number.isNaN(date) ? null : date);
    });
    asked.on('error', reject);
    asked.on('timeout', () => asked.destroy(new Error(`nothing within ${answerMs / 1_000} s`)));
    asked.end();
  });
}

function sentence(message: string): string {
  return `${message.replace(/^\w/, (first) => first.toUpperCase())}.`;
}
