import { once } from 'node:events';
import { setFlagsFromString } from 'node:v8';

import { openLog, openLogSink } from '@millpool/host';
import type { Log } from '@millpool/host';
import type { MillpoolError } from '@millpool/protocol';

import type { ClusterMember } from './cluster-member.ts';
import type { Tools } from './command-context.ts';
import { readyMessage, startDetached } from './detached.ts';
import { NobodyReads } from './output.ts';
import type { Output } from './output.ts';

/** A daemon, however much it does. */
export interface Daemon {
  /** Null where it is of no cluster. */
  readonly member: ClusterMember | null;
  /** Stops what was started, the last first; what failed to stop, or not in its time. */
  stop(): Promise<readonly MillpoolError[]>;
}

/** What is told when it serves. */
export interface Announcement {
  readonly ready: object;
  readonly lines: readonly string[];
}

interface Steps<D extends Daemon> {
  readonly start: (log: Log, onShutdown: () => void) => Promise<D>;
  /** Rejects where it is not to go on after all. */
  readonly serve: (daemon: D) => Promise<Announcement>;
}

/**
 * Of what is in it after a collection, so much may be added to the heap before the next one. V8 itself lets one of this
 * size grow by little, in which it counts what messages take, so that a daemon through which pages pass would do little
 * but collect. The heap's own limit holds all the same.
 */
const heapGrowthPercent = 200;
/** V8 goes by how fast it collects. */
const ownChoice = 0;

/** Runs it until Ctrl-C, SIGTERM or `millpool down`. */
export async function runDaemon<D extends Daemon>({ settings, output, signal }: Tools, steps: Steps<D>): Promise<void> {
  growHeapBy(heapGrowthPercent);
  const { logLevel: level, logFormat: format, logFile } = settings.config;
  const log = openLog({ level, format, write: openLogSink(logFile) });
  const asked = new AbortController();
  const daemon = await steps.start(log, () => asked.abort());
  // Whoever rotates logs sends it too, and the log file is opened for each line.
  const onHangup = (): void => (process.stderr.isTTY ? asked.abort() : log.info('hangup passed over'));
  process.on('SIGHUP', onHangup);
  try {
    announce(output, await steps.serve(daemon));
    // Whoever started it may have left.
    process.send?.(readyMessage, undefined, {}, () => undefined);
    const stopping = AbortSignal.any([signal, asked.signal]);
    if (!stopping.aborted) await once(stopping, 'abort');
  } finally {
    for (const { shape } of await daemon.stop()) output.error(shape);
    process.removeListener('SIGHUP', onHangup);
    // Code that is kept for later starts is refused by a V8 with other flags.
    growHeapBy(ownChoice);
  }
}

function growHeapBy(percent: number): void {
  setFlagsFromString(`--heap-growing-percent=${percent}`);
}

/** The same command line in a session of its own. */
export async function runDetached({ settings, output, signal }: Tools): Promise<void> {
  const started = await startDetached(settings.config.socket, signal);
  output.result(
    started,
    `Millpool is up (pid ${started.pid}); its log is ${started.log}. Stop it with \`millpool down\`.`,
  );
}

/** What of a cluster is told, for people and for programs. */
export function membershipOf({ member }: Daemon): Announcement {
  if (member === null) return { ready: {}, lines: [] };
  const { id, address } = member;
  return { ready: { node: id, address }, lines: [`  node ${id} of the cluster, at ${address}`] };
}

/** A daemon goes on where nobody reads that it is up. */
function announce(output: Output, { ready, lines }: Announcement): void {
  try {
    output.result(ready, lines.join('\n'));
  } catch (error) {
    if (!(error instanceof NobodyReads)) throw error;
  }
}
