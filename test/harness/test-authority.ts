import { execFile } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** PEM files. */
export interface Certified {
  /** Of the authority that nobody knows of by himself. */
  readonly authority: string;
  readonly certificate: string;
  readonly key: string;
}

/** A certificate authority of its own, and a certificate of it for 127.0.0.1. Null where there is no openssl. */
export async function certify(directory: string): Promise<Certified | null> {
  const at = (name: string): string => join(directory, name);
  const openssl = (...args: string[]): Promise<unknown> => run('openssl', args);
  try {
    await openssl('version');
  } catch {
    return null;
  }
  const fresh = ['-newkey', 'rsa:2048', '-nodes'];
  const [authority, authorityKey, certificate, key] = ['ca.pem', 'ca.key', 'server.pem', 'server.key'].map(at);
  if (!authority || !authorityKey || !certificate || !key) throw new RangeError('four names');
  const name = '/CN=Millpool test authority';
  await openssl('req', '-x509', ...fresh, '-days', '2', '-subj', name, '-keyout', authorityKey, '-out', authority);
  await openssl('req', ...fresh, '-subj', '/CN=127.0.0.1', '-keyout', key, '-out', at('server.csr'));
  await writeFile(at('extensions'), 'subjectAltName=IP:127.0.0.1\n');
  const issuer = ['-CA', authority, '-CAkey', authorityKey, '-CAcreateserial'];
  const wanted = ['-req', '-in', at('server.csr'), '-days', '2', '-extfile', at('extensions')];
  await openssl('x509', ...wanted, ...issuer, '-out', certificate);
  return { authority, certificate, key };
}
