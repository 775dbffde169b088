import type { Command } from 'commander';
import { Option } from 'commander';
import { checkRequest, compressions, formatBytes, MillpoolError, policies, roles } from '@millpool/protocol';
import type { Attachment, Compression, DeviceStatus, Freshness, Policy } from '@millpool/protocol';
import { parseSource, sourceName } from '@millpool/under-storage';

import type { CommandContext, Tools } from '../command-context.ts';
import { nodeConfigOf, withNodeFlags } from '../node-flags.ts';
import type { NodeFlags } from '../node-flags.ts';
import { startNode } from '../node.ts';
import type { Node } from '../node.ts';
import { membershipOf, runDaemon, runDetached } from '../run-daemon.ts';
import type { Announcement } from '../run-daemon.ts';
import { absoluteSource } from '../source-argument.ts';
import { attachmentJson } from './attach.ts';

interface UpOptions extends NodeFlags {
  readonly at?: string;
  readonly policy?: Policy;
  readonly compression?: Compression;
}

export function upCommand(program: Command, context: CommandContext): void {
  const up = program
    .command('up')
    .description('Start the daemon of this node and attach sources; Ctrl-C stops it cleanly')
    .argument('[source...]', 's3://BUCKET/PREFIX or a local folder; attachments made earlier come back by themselves');
  withNodeFlags(up)
    .option('--at <path>', 'where the source appears (default: / and the last name of the source)')
    .addOption(
      new Option('--policy <P>', 'what of the sources stays in the cache (default: auto)').choices([...policies]),
    )
    .addOption(
      new Option('--compression <C>', 'how records of the sources are stored (default: off)').choices([
        ...compressions,
      ]),
    )
    .action((sources: string[], options: UpOptions) =>
      context.run((tools) => (options.detach === true ? runDetached(tools) : runUp(sources, options, tools))),
    );
}

async function runUp(sources: readonly string[], options: UpOptions, tools: Tools): Promise<void> {
  if (options.at !== undefined && sources.length !== 1) {
    throw new MillpoolError({
      code: 'invalid',
      message: `--at names one place, and there are ${sources.length} sources.`,
      remedy: 'Attach the others with `millpool attach SOURCE --at PATH`.',
    });
  }
  const { config } = tools.settings;
  const wanted = nodeConfigOf(tools.settings, options, roles);
  await runDaemon(tools, {
    start: (log, onShutdown) => startNode(wanted, log, onShutdown),
    serve: async (node) => {
      const { at = null, policy = config.policy, compression = config.compression } = options;
      await attachAll(node, sources, { at, policy, compression, freshness: config.freshness }, tools.signal);
      return nodeAnnouncement(node, wanted.socket, tools.signal);
    },
  });
}

/** What a node that keeps bytes tells when it is up. */
export async function nodeAnnouncement(node: Node, socket: string, signal: AbortSignal): Promise<Announcement> {
  const { attachments } = await node.handlers.attachments({}, { signal });
  const status = await node.handlers.status({}, { signal });
  const membership = membershipOf(node);
  const lines = [
    `Millpool is up (pid ${process.pid}).`,
    ...attachments.map(({ path, source }) => `  ${path}  is  ${source}`),
    ...status.devices.filter(({ state }) => state !== 'failed').map(cacheLine),
    ...(status.cache.why === '' ? [] : [`  ${status.cache.why}`]),
    ...membership.lines,
    `SDK: connect()  with MILLPOOL_SOCKET=${socket}`,
    'Ctrl-C stops it; what is cached stays.',
  ];
  const ready = { pid: process.pid, socket, attachments: attachments.map(attachmentJson), ...membership.ready };
  return { ready, lines };
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
