import { once } from 'node:events';

import type { Command } from 'commander';
import { Option } from 'commander';
import { openLog, openLogSink } from '@millpool/host';
import { checkRequest, compressions, formatBytes, MillpoolError, parseSize, policies } from '@millpool/protocol';
import type { Attachment, Compression, DeviceStatus, Freshness, Policy } from '@millpool/protocol';
import { parseSource, sourceName } from '@millpool/under-storage';

import type { CommandContext, Tools } from '../command-context.ts';
import { readyMessage, startDetached } from '../detached.ts';
import { directoriesOf, repeated } from '../node-directories.ts';
import type { DataFlags } from '../node-directories.ts';
import { startNode } from '../node.ts';
import type { Node } from '../node.ts';
import type { NodeConfig } from '../node-config.ts';
import { NobodyReads } from '../output.ts';
import type { Output } from '../output.ts';
import { absoluteSource } from '../source-argument.ts';
import { attachmentJson } from './attach.ts';

interface UpOptions extends DataFlags {
  readonly size?: string;
  readonly slowSize?: string;
  readonly at?: string;
  readonly policy?: Policy;
  readonly compression?: Compression;
  readonly detach?: boolean;
}

export function upCommand(program: Command, context: CommandContext): void {
  program
    .command('up')
    .description('Start the daemon of this node and attach sources; Ctrl-C stops it cleanly')
    .argument('[source...]', 's3://BUCKET/PREFIX or a local folder; attachments made earlier come back by themselves')
    .option('--data <dir>', 'where the cache lies; repeat it for several devices', repeated)
    .option('--slow-data <dir>', 'where a second tier lies, on a larger and slower disk; repeat it', repeated)
    .option('--size <size>', 'stored bytes over all --data directories (200GiB), or a share of each device (90%)')
    .option('--slow-size <size>', 'the same of the slow tier')
    .option('--at <path>', 'where the source appears (default: / and the last name of the source)')
    .addOption(
      new Option('--policy <P>', 'what of the sources stays in the cache (default: auto)').choices([...policies]),
    )
    .addOption(
      new Option('--compression <C>', 'how records of the sources are stored (default: off)').choices([
        ...compressions,
      ]),
    )
    .option('--detach', 'return when the daemon is up; stop it with `millpool down`')
    .action((sources: string[], options: UpOptions) =>
      context.run((tools) => (options.detach === true ? runDetached(tools) : runUp(sources, options, tools))),
    );
}

async function runUp(
  sources: readonly string[],
  options: UpOptions,
  { settings, output, signal }: Tools,
): Promise<void> {
  if (options.at !== undefined && sources.length !== 1) {
    throw new MillpoolError({
      code: 'invalid',
      message: `--at names one place, and there are ${sources.length} sources.`,
      remedy: 'Attach the others with `millpool attach SOURCE --at PATH`.',
    });
  }
  const { config } = settings;
  const wanted: NodeConfig = {
    ...config,
    ...directoriesOf(settings, options),
    size: options.size === undefined ? config.size : parseSize(options.size),
    slowSize: options.slowSize === undefined ? config.slowSize : parseSize(options.slowSize),
  };
  const log = openLog({ level: config.logLevel, format: config.logFormat, write: openLogSink(config.logFile) });
  const asked = new AbortController();
  const node = await startNode(wanted, log, () => asked.abort());
  // Whoever rotates logs sends it too, and the log file is opened for each line.
  const onHangup = (): void => (process.stderr.isTTY ? asked.abort() : log.info('hangup passed over'));
  process.on('SIGHUP', onHangup);
  try {
    const { at = null, policy = config.policy, compression = config.compression } = options;
    await attachAll(node, sources, { at, policy, compression, freshness: config.freshness }, signal);
    const { attachments } = await node.handlers.attachments({}, { signal });
    const status = await node.handlers.status({}, { signal });
    const lines = [
      `Millpool is up (pid ${process.pid}).`,
      ...attachments.map(({ path, source }) => `  ${path}  is  ${source}`),
      ...status.devices.filter(({ state }) => state !== 'failed').map(cacheLine),
      ...(status.cache.why === '' ? [] : [`  ${status.cache.why}`]),
      `SDK: connect()  with MILLPOOL_SOCKET=${wanted.socket}`,
      'Ctrl-C stops it; what is cached stays.',
    ];
    const ready = { pid: process.pid, socket: wanted.socket, attachments: attachments.map(attachmentJson) };
    announce(output, ready, lines);
    // Whoever started it may have left.
    process.send?.(readyMessage, undefined, {}, () => undefined);
    const stopping = AbortSignal.any([signal, asked.signal]);
    if (!stopping.aborted) await once(stopping, 'abort');
  } finally {
    for (const { shape } of await node.stop()) output.error(shape);
    process.removeListener('SIGHUP', onHangup);
  }
}

/** A daemon goes on where nobody reads that it is up. */
function announce(output: Output, ready: object, lines: readonly string[]): void {
  try {
    output.result(ready, lines.join('\n'));
  } catch (error) {
    if (!(error instanceof NobodyReads)) throw error;
  }
}

function cacheLine({ path, tier, sizeBytes }: DeviceStatus): string {
  return `  cache in ${path}: up to ${formatBytes(sizeBytes)}${tier === 'slow' ? ', the slow tier' : ''}`;
}

interface AttachHow {
  /** Null: `/` and the last name of the source. */
  readonly at: string | null;
  readonly policy: Policy;
  readonly compression: Compression;
  readonly freshness: Freshness;
}

/** All of them, or none: of a start that fails nothing stays behind. */
async function attachAll(node: Node, sources: readonly string[], how: AttachHow, signal: AbortSignal): Promise<void> {
  const made: string[] = [];
  try {
    for (const source of sources) made.push(...(await attachOnce(node, source, how, signal)));
  } catch (error) {
    for (const path of made) await node.handlers.detach({ path }, { signal: new AbortController().signal });
    throw error;
  }
}

/**
 * Attaches a source that is not there yet, and gives its path; the same source at the same path from an earlier run is
 * left as it is.
 */
async function attachOnce(
  node: Node,
  source: string,
  { at, policy, compression, freshness }: AttachHow,
  signal: AbortSignal,
): Promise<readonly string[]> {
  const { source: absolute, s3 } = absoluteSource(source);
  const request = checkRequest('attach', {
    source: absolute,
    path: at,
    freshness,
    policy,
    compression,
    readOnly: false,
    s3: s3 ? { endpoint: null, region: null, profile: null, anonymous: false, requesterPays: false } : null,
  });
  const { attachments } = await node.handlers.attachments({}, { signal });
  const path = request.path ?? `/${sourceName(parseSource(absolute))}`;
  const there = attachments.find(
    (attachment: Attachment) => attachment.path === path && attachment.source === absolute,
  );
  if (there !== undefined) return [];
  const made = await node.handlers.attach(request, { signal });
  return [made.path];
}

async function runDetached({ settings, output, signal }: Tools): Promise<void> {
  const started = await startDetached(settings.config.socket, signal);
  output.result(
    started,
    `Millpool is up (pid ${started.pid}); its log is ${started.log}. Stop it with \`millpool down\`.`,
  );
}
