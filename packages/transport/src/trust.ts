import { readFile, stat } from 'node:fs/promises';

import { MillpoolError } from '@millpool/protocol';

/** By what nodes of a cluster know each other: a secret that all have, certificates, or both. */
export interface Trust {
  /** Without it, both sides show certificates. */
  readonly token: Buffer | null;
  readonly tls: TrustTls | null;
}

/** PEM. */
export interface TrustTls {
  /** Whose certificates are believed; null: those that the system believes. */
  readonly authority: Buffer | null;
  readonly certificate: Buffer;
  readonly key: Buffer;
}

/** Nobody is asked who he is, wherever he comes from: somebody said so in so many words. */
export const openToAll = 'open';
export type Admission = Trust | typeof openToAll;

/** Paths; null where there is none. */
export interface TrustFiles {
  readonly token: string | null;
  readonly authority: string | null;
  readonly certificate: string | null;
  readonly key: string | null;
}

const tokenBytesMin = 16;
const tokenBytesMax = 4_096;
const groupAndOthers = 0o077;

/** Null where nothing is named. Throws `invalid` for what is not enough, `refused` for a token that others can read. */
export async function readTrust(files: TrustFiles): Promise<Trust | null> {
  const token = files.token === null ? null : await readToken(files.token);
  const { certificate, key, authority } = files;
  if ((certificate === null) !== (key === null)) {
    throw invalid('a certificate and its key belong together', 'Name both files, or neither.');
  }
  if (certificate === null || key === null) {
    if (authority !== null) {
      throw invalid('an authority was named, and no certificate', 'Name the certificate and the key of this node too.');
    }
    return token === null ? null : { token, tls: null };
  }
  const [shown, secret, believed] = await Promise.all([read(certificate), read(key), authority && read(authority)]);
  return { token, tls: { certificate: shown, key: secret, authority: believed || null } };
}

async function readToken(path: string): Promise<Buffer> {
  const { mode } = await stat(path).catch(unreadable(path));
  if ((mode & groupAndOthers) !== 0) {
    throw new MillpoolError({
      code: 'refused',
      message: `others than its owner can read the token in ${path}`,
      remedy: `chmod 600 ${path}`,
      path,
    });
  }
  const token = Buffer.from((await read(path)).toString('latin1').trim(), 'latin1');
  if (token.length >= tokenBytesMin && token.length <= tokenBytesMax) return token;
  throw invalid(
    `the token in ${path} has ${token.length} bytes, and ${tokenBytesMin} to ${tokenBytesMax} are needed`,
    `Make one with: (umask 077; openssl rand -hex 32 > ${path})`,
  );
}

function read(path: string): Promise<Buffer> {
  return readFile(path).catch(unreadable(path));
}

function unreadable(path: string): (error: NodeJS.ErrnoException) => never {
  return (error) => {
    const fault = { message: `${path} cannot be read: ${error.message}`, remedy: 'Name a file that is there.', path };
    const code = error.code === 'ENOENT' ? 'not-found' : error.code === 'EACCES' ? 'refused' : 'io';
    throw new MillpoolError({ ...fault, code }, { cause: error });
  };
}

function invalid(message: string, remedy: string): MillpoolError {
  return new MillpoolError({ code: 'invalid', message, remedy });
}
