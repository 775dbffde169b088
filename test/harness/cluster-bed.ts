import { randomBytes } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import type { NodeStatus, ShardStatus } from '@millpool/protocol';

import { objectsOf } from './command-output.ts';
import { Etcd } from './etcd.ts';
import { MillpoolNode } from './millpool-process.ts';
import type { NodeOptions } from './millpool-process.ts';
import { temporaryFolder } from './temporary-folder.ts';
import type { TemporaryFolder } from './temporary-folder.ts';

const deadlineMs = 60_000;
const lookEveryMs = 50;

/** Daemons of one cluster on this machine, their etcd, and the token that they have. */
export class ClusterBed {
  readonly etcd: Etcd;
  readonly shards: number;
  readonly tokenFile: string;
  readonly nodes = new Map<string, MillpoolNode>();
  readonly #folder: TemporaryFolder;
  readonly #env: Readonly<Record<string, string>>;

  private constructor(folder: TemporaryFolder, etcd: Etcd, env: Readonly<Record<string, string>>) {
    this.#folder = folder;
    this.etcd = etcd;
    this.#env = env;
    this.shards = Number(env['MILLPOOL_SHARDS']);
    this.tokenFile = join(folder.path, 'token');
  }

  /** `binary`: of etcd (`ensureEtcd`). */
  static async start(binary: string, shards: number, env: Readonly<Record<string, string>> = {}): Promise<ClusterBed> {
    const folder = await temporaryFolder('daemons');
    const bed = new ClusterBed(folder, await Etcd.start({ binary, directory: folder.path }), {
      ...env,
      MILLPOOL_SHARDS: String(shards),
    });
    await writeFile(bed.tokenFile, randomBytes(24).toString('hex'), { mode: 0o600 });
    return bed;
  }

  get path(): string {
    return this.#folder.path;
  }

  /** The same directories where one of that name has been before. */
  async add(
    name: string,
    sources: NodeOptions['sources'],
    args: readonly string[] = ['--token-file', this.tokenFile],
  ): Promise<MillpoolNode> {
    const directory = join(this.path, name);
    await mkdir(directory, { recursive: true });
    const size = sources === 'metadata' ? [] : ['--size', '64MiB'];
    const cluster = ['--cluster', `etcd://${this.etcd.endpoint}`, ...size, ...args];
    const node = await MillpoolNode.start({ directory, sources: sources ?? [], args: cluster, env: this.#env });
    this.nodes.set(name, node);
    return node;
  }

  node(name: string): MillpoolNode {
    const node = this.nodes.get(name);
    if (node === undefined) throw new RangeError(`no node ${name}`);
    return node;
  }

  /** What a node knows itself by, as it said when it joined. */
  idOf(name: string): string {
    const [, id] = /joined the cluster .*node=(\S+) /.exec(this.node(name).stderr) ?? [];
    if (id === undefined) throw new Error(`${name} has not joined`);
    return id;
  }

  async nodesSeenBy(name: string): Promise<NodeStatus[]> {
    return objectsOf<NodeStatus & Record<string, unknown>>(await this.node(name).run('admin', 'nodes', '--json'));
  }

  async shardsSeenBy(name: string): Promise<ShardStatus[]> {
    return objectsOf<ShardStatus & Record<string, unknown>>(await this.node(name).run('admin', 'shards', '--json'));
  }

  /** Every shard is served by one of those that are there. */
  async untilServed(seenBy: string): Promise<number> {
    return this.until('all shards are served', async () => {
      const seen = await this.shardsSeenBy(seenBy);
      return seen.length === this.shards && seen.every(({ isServed }) => isServed);
    });
  }

  /** Seconds until it is so. */
  async until(what: string, isSo: () => Promise<boolean>): Promise<number> {
    const start = performance.now();
    while (!(await isSo())) {
      if (performance.now() - start > deadlineMs) throw new Error(`not within ${deadlineMs / 1000} s: ${what}`);
      await sleep(lookEveryMs);
    }
    return (performance.now() - start) / 1000;
  }

  async stop(): Promise<void> {
    for (const node of this.nodes.values()) {
      if (node.ended !== null) continue;
      process.kill(node.pid, 'SIGCONT');
      await node.stop('SIGKILL');
    }
    await this.etcd.stop();
    await this.#folder.remove();
  }
}
