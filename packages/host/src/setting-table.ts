import { join } from 'node:path';
import { compressions, policies, tiers } from '@millpool/protocol';
import type { Compression, Freshness, Policy, Size, Tier } from '@millpool/protocol';
import { logFormats, logLevels } from './log.ts';
import type { LogFormat, LogLevel } from './log.ts';
import type { Place } from './place.ts';
import {
  address,
  bytes,
  choice,
  coordination,
  duration,
  freshness,
  path,
  paths,
  percent,
  size,
  wholeNumber,
} from './setting-text.ts';
import type { SettingText } from './setting-text.ts';

/** Every setting there is. What is written for one is always text, wherever it is written; `config.ts` says where. */
export interface Config {
  readonly dataDirectories: readonly string[];
  /** Null: there is no slow tier, but what the kernel tells to be one. */
  readonly slowDataDirectories: readonly string[] | null;
  /** What a data directory is whose disk rotates, beside one that does not. */
  readonly rotational: Tier;
  /** Stored bytes over all fast data directories, or a share of each; null: all that is free, save a reserve. */
  readonly size: Size | null;
  /** The same of the slow ones. */
  readonly slowSize: Size | null;
  readonly socket: string;
  readonly stateDirectory: string;
  readonly runtimeDirectory: string;
  readonly budgetBytes: number;
  readonly policy: Policy;
  readonly compression: Compression;
  readonly freshness: Freshness;
  readonly logLevel: LogLevel;
  readonly logFormat: LogFormat;
  /** Null: standard error. */
  readonly logFile: string | null;
  readonly extentDelayMs: number;
  readonly idleSealMs: number;
  readonly sourceTimeoutMs: number;
  readonly hedge: (typeof switchStates)[number];
  readonly listsAtOnce: number;
  readonly credentialsRefreshMs: number;
  readonly keepUnreadMs: number;
  /** 0.25 for a quarter. */
  readonly copyShare: number;
  readonly callTimeoutMs: number;
  readonly stopTimeoutMs: number;
  /** HOST:PORT; null: nowhere. */
  readonly metrics: string | null;
  /** Null: this node is alone. */
  readonly cluster: string | null;
  /** HOST:PORT; null: a free port of this machine alone. */
  readonly listen: string | null;
  readonly tokenFile: string | null;
  /** PEM files. */
  readonly tlsAuthority: string | null;
  readonly tlsCertificate: string | null;
  readonly tlsKey: string | null;
  readonly clusterOpen: (typeof switchStates)[number];
  readonly etcdAuthority: string | null;
  readonly etcdCertificate: string | null;
  readonly etcdKey: string | null;
  /** Null: as the cluster has it. */
  readonly shards: number | null;
  readonly hotReadsPerS: number;
  readonly rebootGraceMs: number;
}

export type SettingName = keyof Config;

export interface SettingRow<T> {
  readonly env: string;
  /** One line, as `millpool config` prints it. */
  readonly doc: string;
  readonly text: SettingText<NonNullable<T>>;
  /** When nobody says anything. `chosen` has the settings that stand above this one in the table. */
  readonly otherwise: (place: Place, chosen: Partial<Config>) => T;
  /** What it is when nobody says anything, in words, where that depends on the machine or the user. */
  readonly otherwiseDoc?: string;
}

const giB = 1024 ** 3;
const switchStates = ['on', 'off'] as const;

export const settingTable: { readonly [N in SettingName]: SettingRow<Config[N]> } = {
  dataDirectories: {
    env: 'MILLPOOL_DATA',
    doc: 'where the cache lies; one directory a device',
    text: paths,
    otherwiseDoc: '/var/lib/millpool/cache for root, ~/.cache/millpool for others',
    otherwise: (place) => [place.dataDirectory],
  },
  slowDataDirectories: {
    env: 'MILLPOOL_SLOW_DATA',
    doc: 'where the second tier of the cache lies, on larger and slower disks; one directory a device',
    text: paths,
    otherwiseDoc: 'nowhere',
    otherwise: () => null,
  },
  rotational: {
    env: 'MILLPOOL_ROTATIONAL',
    doc: `the tier of a data directory whose disk rotates, beside one that does not: ${tiers.join(', ')}`,
    text: choice(tiers),
    otherwise: () => 'slow',
  },
  size: {
    env: 'MILLPOOL_SIZE',
    doc: 'stored bytes over all data directories of the fast tier (200GiB), or a share of each device (90%)',
    text: size,
    otherwiseDoc: 'all that is free, but a reserve',
    otherwise: () => null,
  },
  slowSize: {
    env: 'MILLPOOL_SLOW_SIZE',
    doc: 'the same of the slow tier',
    text: size,
    otherwiseDoc: 'all that is free, but a reserve',
    otherwise: () => null,
  },
  stateDirectory: {
    env: 'MILLPOOL_STATE_DIRECTORY',
    doc: 'where what must outlive a restart is kept',
    text: path,
    otherwiseDoc: 'state, in the first data directory',
    // In the first data directory, so that two daemons with data of their own never meet.
    otherwise: (place, { dataDirectories: [first] = [place.dataDirectory] }) => join(first ?? '', 'state'),
  },
  runtimeDirectory: {
    env: 'MILLPOOL_RUNTIME_DIRECTORY',
    doc: 'where sockets are made',
    text: path,
    otherwiseDoc: '/run/millpool for root, $XDG_RUNTIME_DIR/millpool for others',
    otherwise: (place) => place.runtimeDirectory,
  },
  socket: {
    env: 'MILLPOOL_SOCKET',
    doc: "the daemon's socket",
    text: path,
    otherwiseDoc: 'millpool.sock, in the runtime directory',
    otherwise: (place, chosen) => join(chosen.runtimeDirectory ?? place.runtimeDirectory, 'millpool.sock'),
  },
  budgetBytes: {
    env: 'MILLPOOL_BUDGET',
    doc: 'memory of the daemon: program, buffers, key table, names; 192MiB at least; pages of files are not counted',
    text: bytes,
    otherwiseDoc: "an eighth of the machine's memory, from 256MiB to 4GiB",
    otherwise: (place) => Math.floor(Math.min(4 * giB, Math.max(giB / 4, place.memoryBytes / 8))),
  },
  policy: {
    env: 'MILLPOOL_POLICY',
    doc: `what of a source stays in the cache, where its attachment does not say: ${policies.join(', ')}`,
    text: choice(policies),
    otherwise: () => 'auto',
  },
  compression: {
    env: 'MILLPOOL_COMPRESSION',
    doc: `whether records are stored compressed, where their attachment does not say: ${compressions.join(', ')}`,
    text: choice(compressions),
    otherwise: () => 'off',
  },
  freshness: {
    env: 'MILLPOOL_FRESHNESS',
    doc: 'how old metadata may be, where its attachment does not say: immutable, ttl=DURATION, strict',
    text: freshness,
    otherwise: () => ({ kind: 'ttl', seconds: 60 }),
  },
  logLevel: {
    env: 'MILLPOOL_LOG_LEVEL',
    doc: `the least that is logged: ${logLevels.join(', ')}`,
    text: choice(logLevels),
    otherwise: () => 'info',
  },
  logFormat: {
    env: 'MILLPOOL_LOG_FORMAT',
    doc: `how a line of the log is written: ${logFormats.join(', ')}`,
    text: choice(logFormats),
    otherwise: () => 'text',
  },
  logFile: {
    env: 'MILLPOOL_LOG_FILE',
    doc: 'where the log is written; standard error without it',
    text: path,
    otherwise: () => null,
  },
  extentDelayMs: {
    env: 'MILLPOOL_EXTENT_DELAY',
    doc: 'how long fetched bytes wait for others before they are written together',
    text: duration(1, 60_000),
    otherwise: () => 50,
  },
  idleSealMs: {
    env: 'MILLPOOL_IDLE_SEAL',
    doc: 'how long a segment stays open after the last write',
    text: duration(100, 3_600_000),
    otherwise: () => 30_000,
  },
  sourceTimeoutMs: {
    env: 'MILLPOOL_SOURCE_TIMEOUT',
    doc: 'how long one request to a source may take, with all that is tried again',
    text: duration(100, 3_600_000),
    otherwise: () => 90_000,
  },
  hedge: {
    env: 'MILLPOOL_HEDGE',
    doc: 'whether a slow GET that somebody waits for may be sent a second time: on, off',
    text: choice(switchStates),
    otherwise: () => 'on',
  },
  listsAtOnce: {
    env: 'MILLPOOL_LISTS_AT_ONCE',
    doc: 'how many LISTs of one directory or bucket may be under way at the same time',
    text: wholeNumber(1, 256),
    otherwise: () => 16,
  },
  credentialsRefreshMs: {
    env: 'MILLPOOL_CREDENTIALS_REFRESH',
    doc: 'how often credentials that do not expire are asked for again, so that new ones in their file are used',
    text: duration(100, 86_400_000),
    otherwise: () => 60_000,
  },
  keepUnreadMs: {
    env: 'MILLPOOL_KEEP_UNREAD',
    doc: 'how long a dataset that nobody reads keeps its place in a full cache',
    text: duration(1, 365 * 86_400_000),
    otherwise: () => 3_600_000,
  },
  copyShare: {
    env: 'MILLPOOL_COPY_SHARE',
    doc: 'what may be copied to win back room in a full cache, as a share of what is fetched; 0% copies nothing',
    text: percent(400),
    otherwise: () => 0.25,
  },
  callTimeoutMs: {
    env: 'MILLPOOL_CALL_TIMEOUT',
    doc: 'how long a question to the daemon may take',
    text: duration(1, 86_400_000),
    otherwise: () => 30_000,
  },
  stopTimeoutMs: {
    env: 'MILLPOOL_STOP_TIMEOUT',
    doc: 'how long each part may take to stop',
    text: duration(1, 3_600_000),
    otherwise: () => 30_000,
  },
  metrics: {
    env: 'MILLPOOL_METRICS',
    doc: 'HOST:PORT where Prometheus finds numbers, at /metrics; nowhere without it',
    text: address,
    otherwise: () => null,
  },
  cluster: {
    env: 'MILLPOOL_CLUSTER',
    doc: 'the etcd of the cluster that this node is of, etcd://HOST:2379[,HOST:2379…][/PREFIX]; alone without it',
    text: coordination,
    otherwise: () => null,
  },
  listen: {
    env: 'MILLPOOL_LISTEN',
    doc: 'HOST:PORT where the other nodes of a cluster reach this one',
    text: address,
    otherwiseDoc: 'a free port of 127.0.0.1, for nodes of the same machine',
    otherwise: () => null,
  },
  tokenFile: {
    env: 'MILLPOOL_TOKEN_FILE',
    doc: 'a file with the secret that all nodes of the cluster have, 16 bytes or more, which only its owner can read',
    text: path,
    otherwise: () => null,
  },
  tlsAuthority: {
    env: 'MILLPOOL_TLS_CA',
    doc: 'the authority (PEM) that signed the certificates of the nodes',
    text: path,
    otherwiseDoc: 'those that the system believes',
    otherwise: () => null,
  },
  tlsCertificate: {
    env: 'MILLPOOL_TLS_CERT',
    doc: 'the certificate (PEM) of this node, with which it speaks TLS to the others',
    text: path,
    otherwise: () => null,
  },
  tlsKey: {
    env: 'MILLPOOL_TLS_KEY',
    doc: 'the key (PEM) of that certificate',
    text: path,
    otherwise: () => null,
  },
  clusterOpen: {
    env: 'MILLPOOL_CLUSTER_OPEN',
    doc: 'on: whoever reaches the address of `listen` is believed, without a token or a certificate',
    text: choice(switchStates),
    otherwise: () => 'off',
  },
  etcdAuthority: {
    env: 'MILLPOOL_ETCD_CA',
    doc: 'the authority (PEM) that signed the certificate of an etcd at etcds://',
    text: path,
    otherwiseDoc: 'those that the system believes',
    otherwise: () => null,
  },
  etcdCertificate: {
    env: 'MILLPOOL_ETCD_CERT',
    doc: 'the certificate (PEM) that this node shows to etcd',
    text: path,
    otherwise: () => null,
  },
  etcdKey: {
    env: 'MILLPOOL_ETCD_KEY',
    doc: 'the key (PEM) of that certificate',
    text: path,
    otherwise: () => null,
  },
  shards: {
    env: 'MILLPOOL_SHARDS',
    doc: 'how many shards the metadata of a new cluster has; fixed by its first node',
    text: wholeNumber(1, 1_024),
    otherwiseDoc: 'as the cluster has it; 1,024 for a new one',
    otherwise: () => null,
  },
  hotReadsPerS: {
    env: 'MILLPOOL_HOT_READS_PER_S',
    doc: 'reads of one directory a second, over all nodes, from which it is copied or shared out; 0: never',
    text: wholeNumber(0, 1_000_000_000),
    otherwise: () => 5_000,
  },
  rebootGraceMs: {
    env: 'MILLPOOL_REBOOT_GRACE',
    doc: 'how long the shards of a node that was stopped wait for it to be back; 0s: others have them at once',
    text: duration(0, 86_400_000),
    otherwise: () => 60_000,
  },
};

/** As they are listed to people, and chosen one after another. */
export const settingNames = Object.keys(settingTable) as readonly SettingName[];
