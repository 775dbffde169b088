import { readFile } from 'node:fs/promises';

import { redactText, settingNames, settingTable } from '@millpool/host';
import type { Environment } from '@millpool/host';

import { fail, ok, warn } from './check.ts';
import type { Check } from './check.ts';

const authorityNames = ['AWS_CA_BUNDLE', 'SSL_CERT_FILE', 'NODE_EXTRA_CA_CERTS'] as const;
const proxyNames = ['HTTPS_PROXY', 'https_proxy', 'HTTP_PROXY', 'http_proxy', 'ALL_PROXY', 'all_proxy'] as const;
/** Read by ours beside the settings. */
const otherNames = ['MILLPOOL_CONFIG', 'MILLPOOL_NO_MAP'];

/** Variables of others that break TLS or S3, and ours that are none. `endpoint`: where S3 is asked. */
export async function environmentChecks(env: Environment, endpoint: string | null): Promise<readonly Check[]> {
  const found = [
    ...(await Promise.all(authorityNames.map((name) => authorityFile(name, env[name])))).flat(),
    ...verification(env),
    ...proxies(env, endpoint),
    ...nodeOptions(env),
    ...unknownSettings(env),
  ];
  return found.length > 0 ? found : [ok('environment', 'No variable stands in the way of TLS or S3.')];
}

async function authorityFile(name: string, file: string | undefined): Promise<readonly Check[]> {
  if (file === undefined || file === '') return [];
  const remedy = `Correct ${name}, or unset it.`;
  try {
    const text = await readFile(file, 'utf8');
    if (text.includes('-----BEGIN CERTIFICATE-----')) return [ok(name, `${file} has certificates.`)];
    return [fail(name, `${file} has no certificate in PEM: no TLS connection can be made with it.`, remedy)];
  } catch (error) {
    const reason = { ENOENT: 'is not there', EACCES: 'may not be read' }[(error as NodeJS.ErrnoException).code ?? ''];
    return [fail(name, `${file} ${reason ?? 'cannot be read'}: no TLS connection can be made with it.`, remedy)];
  }
}

function verification(env: Environment): readonly Check[] {
  const name = 'NODE_TLS_REJECT_UNAUTHORIZED';
  if (env[name] !== '0') return [];
  return [
    fail(
      name,
      'It is 0: listings trust whoever answers, and credentials could be caught. GETs verify nevertheless.',
      'Unset it, and name the authority of the source with AWS_CA_BUNDLE.',
    ),
  ];
}

/** Millpool asks its sources directly, whatever these say. */
function proxies(env: Environment, endpoint: string | null): readonly Check[] {
  const name = proxyNames.find((candidate) => (env[candidate] ?? '') !== '');
  if (name === undefined) return [];
  const host = endpoint === null || !URL.canParse(endpoint) ? null : new URL(endpoint).hostname;
  if (host !== null && isBypassed(host, env['NO_PROXY'] ?? env['no_proxy'] ?? '')) {
    return [ok(name, `${host} is named in NO_PROXY, and asked directly.`)];
  }
  return [
    warn(
      name,
      `It names a proxy (${redactText(env[name] ?? '')}), and Millpool asks ${host ?? 'its sources'} directly.`,
      `Where only the proxy leads there, give the daemon a way of its own; else add ${host ?? 'them'} to NO_PROXY.`,
    ),
  ];
}

function isBypassed(host: string, list: string): boolean {
  return list
    .split(',')
    .map((entry) =>
      entry
        .trim()
        .replace(/^\*?\./, '')
        .replace(/:\d+$/, ''),
    )
    .some((entry) => entry === '*' || (entry !== '' && (host === entry || host.endsWith(`.${entry}`))));
}

function nodeOptions(env: Environment): readonly Check[] {
  const options = env['NODE_OPTIONS'] ?? '';
  if (options === '') return [];
  const remedy = 'Start the daemon without it: `env -u NODE_OPTIONS millpool up …`.';
  return [warn('NODE_OPTIONS', `It is set (${redactText(options)}), and changes how the daemon runs.`, remedy)];
}

function unknownSettings(env: Environment): readonly Check[] {
  const known = new Set([...settingNames.map((name) => settingTable[name].env), ...otherNames]);
  return Object.keys(env)
    .filter((name) => name.startsWith('MILLPOOL_') && !known.has(name))
    .map((name) =>
      warn(name, 'There is no such setting, and it does nothing.', 'See `millpool config` for those there are.'),
    );
}
