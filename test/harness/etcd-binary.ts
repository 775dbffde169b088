import type { Getting, Had } from './cache-directory.ts';
import { ensureGoProgram } from './go-program.ts';
import type { GoProgram } from './go-program.ts';

const server = 'go.etcd.io/etcd/server/v3';

/** Apache-2.0. Its module replaces others, so that it can be built only from within a module that needs it. */
const etcd: GoProgram = {
  name: 'etcd',
  version: '3.6.16',
  title: 'etcd',
  goMinorMin: 25,
  steps: [
    ['mod', 'init', 'millpool.test/etcd'],
    ['get', '-tool', `${server}@v3.6.16`],
    ['build', '-o', 'etcd', server],
  ],
};

/** The program of etcd. */
export function ensureEtcd(getting: Getting): Promise<Had<string>> {
  return ensureGoProgram(etcd, getting);
}
