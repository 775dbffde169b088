import type { Getting, Had } from './cache-directory.ts';
import { ensureGoProgram } from './go-program.ts';
import type { GoProgram } from './go-program.ts';

/** Apache-2.0. */
const versitygw: GoProgram = {
  name: 'versitygw',
  version: '1.8.0',
  title: 'the S3 server versitygw',
  goMinorMin: 25,
  steps: [['install', 'github.com/versity/versitygw/cmd/versitygw@v1.8.0']],
};

/** The program of the S3 server. */
export function ensureVersitygw(getting: Getting): Promise<Had<string>> {
  return ensureGoProgram(versitygw, getting);
}
