import { join } from 'node:path';

import { freePort, ServerProcess } from './server-process.ts';

const askTimeoutMs = 10_000;

export interface EtcdOptions {
  /** The program (`ensureEtcd`). */
  readonly binary: string;
  /** Its data; one that was there before is taken up. */
  readonly directory: string;
  /** PEM files; with them it speaks TLS, and with `authority` it wants a certificate of it from whoever calls. */
  readonly tls?: { readonly certificate: string; readonly key: string; readonly authority?: string };
  /** As `etcd` takes them. */
  readonly args?: readonly string[];
}

/** One of a cluster's members; a cluster may have one. */
interface Member {
  readonly name: string;
  readonly clientPort: number;
  readonly peerPort: number;
}

/** A member that may be killed and started again at its port. */
export class Etcd {
  readonly #options: EtcdOptions;
  readonly #member: Member;
  readonly #members: readonly Member[];
  #process: ServerProcess;

  private constructor(options: EtcdOptions, member: Member, members: readonly Member[], process: ServerProcess) {
    this.#options = options;
    this.#member = member;
    this.#members = members;
    this.#process = process;
  }

  /** One that is a cluster by itself. */
  static async start(options: EtcdOptions): Promise<Etcd> {
    const [alone] = await Etcd.startMembers(1, options);
    if (alone === undefined) throw new RangeError('one member');
    return alone;
  }

  /** All of one cluster. */
  static async startMembers(count: number, options: EtcdOptions): Promise<Etcd[]> {
    const members: Member[] = [];
    for (let number = 1; number <= count; number += 1) {
      members.push({ name: `member-${number}`, clientPort: await freePort(), peerPort: await freePort() });
    }
    return Promise.all(
      members.map(async (member) => new Etcd(options, member, members, await launch(options, member, members))),
    );
  }

  /** `host:port` */
  get endpoint(): string {
    return `127.0.0.1:${this.#member.clientPort}`;
  }

  /** A call of its HTTP gateway, for what only operators do: `kv/compaction`, `auth/enable`. */
  async ask(path: string, body: object, token?: string): Promise<Record<string, unknown>> {
    const headers = token === undefined ? {} : { authorization: token };
    const url = `http://${this.endpoint}/v3/${path}`;
    const signal = AbortSignal.timeout(askTimeoutMs);
    const response = await fetch(url, { method: 'POST', body: JSON.stringify(body), headers, signal });
    const text = await response.text();
    if (!response.ok) throw new Error(`etcd, ${path}: ${text}`);
    return JSON.parse(text) as Record<string, unknown>;
  }

  get pid(): number {
    return this.#process.pid;
  }

  async kill(): Promise<void> {
    await this.#process.stop('SIGKILL');
  }

  async restart(): Promise<void> {
    this.#process = await launch(this.#options, this.#member, this.#members);
  }

  stop(): Promise<void> {
    return this.#process.stop();
  }
}

function launch(options: EtcdOptions, member: Member, members: readonly Member[]): Promise<ServerProcess> {
  const { binary, directory, tls, args = [] } = options;
  const client = `${tls === undefined ? 'http' : 'https'}://127.0.0.1:${member.clientPort}`;
  const peerOf = ({ peerPort }: Member): string => `http://127.0.0.1:${peerPort}`;
  const cluster = members.map((each) => `${each.name}=${peerOf(each)}`).join(',');
  const asked = tls?.authority === undefined ? [] : ['--client-cert-auth', '--trusted-ca-file', tls.authority];
  const certified = tls === undefined ? [] : ['--cert-file', tls.certificate, '--key-file', tls.key, ...asked];
  const peer = peerOf(member);
  const urls = ['--listen-client-urls', client, '--advertise-client-urls', client, '--listen-peer-urls', peer];
  const place = ['--name', member.name, '--initial-advertise-peer-urls', peer, '--initial-cluster', cluster];
  const quiet = ['--log-level', 'error', '--unsafe-no-fsync'];
  const data = ['--data-dir', join(directory, member.name)];
  return ServerProcess.start(
    binary,
    () => [...data, ...urls, ...place, ...quiet, ...certified, ...args],
    {},
    member.clientPort,
  );
}
