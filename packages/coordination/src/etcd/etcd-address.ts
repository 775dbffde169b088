import { MillpoolError } from '@millpool/protocol';

const portDefault = 2379;
const prefixDefault = '/millpool/';

/** Where an etcd is, and what of it is ours: `etcd://[USER:PASSWORD@]HOST[:PORT][,HOST[:PORT]…][/PREFIX]`. */
export interface EtcdAddress {
  /** `host:port`, one or more. */
  readonly endpoints: readonly string[];
  /** `etcds://` */
  readonly isTls: boolean;
  readonly login: { readonly user: string; readonly password: string } | null;
  /** Of all keys; begins and ends with a slash. */
  readonly prefix: string;
}

const pattern = /^(?<scheme>etcds?):[/][/](?:(?<login>[^@/]*)@)?(?<hosts>[^@/]+)(?<prefix>[/].*)?$/;
const hostPattern = /^(?<host>[\w.-]+|\[[\da-fA-F:.]+\])(?::(?<port>\d{1,5}))?$/;

export function parseEtcdAddress(text: string): EtcdAddress {
  const { scheme, login, hosts = '', prefix = '' } = pattern.exec(text)?.groups ?? {};
  if (scheme === undefined) throw invalid(withoutPassword(text), 'is no address of an etcd');
  return {
    endpoints: hosts.split(',').map((host) => endpointOf(host, withoutPassword(text))),
    isTls: scheme === 'etcds',
    login: login === undefined ? null : loginOf(login, withoutPassword(text)),
    prefix: prefix.replaceAll('/', '') === '' ? prefixDefault : `${prefix.replace(/[/]+$/, '')}/`,
  };
}

/** For messages and logs. */
export function withoutPassword(text: string): string {
  return text.replace(/(:[/][/][^:@/]*):[^@/]*@/, '$1:…@');
}

function endpointOf(text: string, address: string): string {
  const { host, port = portDefault } = hostPattern.exec(text)?.groups ?? {};
  if (host === undefined || Number(port) < 1 || Number(port) > 65_535) {
    throw invalid(address, `names ${JSON.stringify(text)}, which is no HOST:PORT`);
  }
  return `${host}:${port}`;
}

function loginOf(text: string, address: string): { user: string; password: string } {
  const [user = '', ...rest] = text.split(':');
  if (user === '' || rest.length !== 1) throw invalid(address, 'names no USER:PASSWORD before its @');
  try {
    return { user: decodeURIComponent(user), password: decodeURIComponent(rest[0] ?? '') };
  } catch {
    throw invalid(address, 'has a % in its USER:PASSWORD that begins no escape (a % is written %25)');
  }
}

function invalid(address: string, what: string): MillpoolError {
  return new MillpoolError({
    code: 'invalid',
    message: `${JSON.stringify(address)} ${what}`,
    remedy: 'Give etcd://HOST:2379, with further hosts behind commas; etcds:// where it speaks TLS.',
  });
}
