import type { Command } from 'commander';
import { InvalidArgumentError } from 'commander';
import { asMillpoolError, getsAtOnceMax, MillpoolError, parseRate } from '@millpool/protocol';
import type { JobStatus } from '@millpool/protocol';

import { PartlyDone } from '../command-context.ts';
import type { CommandContext, Tools } from '../command-context.ts';
import { describeJob, failuresOf } from '../load-job.ts';
import { ProgressBar } from '../progress-bar.ts';

interface LoadOptions {
  readonly wait?: boolean;
  readonly verify?: boolean;
  readonly rate?: string;
  readonly concurrency?: number;
}

export function loadCommand(program: Command, context: CommandContext): void {
  program
    .command('load')
    .description('Bring every byte below a path into the cache')
    .argument('<path>', 'absolute path in the namespace')
    .option('--wait', 'return when every byte is here and checked; after Ctrl-C the job goes on')
    .option('--verify', 'also read back and check what is here already')
    .option('--rate <rate>', 'fetch at most so many bytes a second, as in 200MiB/s')
    .option('--concurrency <n>', 'at most so many GETs at once', countOfGets)
    .addHelpText(
      'after',
      `
Exit codes: 0 all is here, 3 some files could not be loaded (they are listed).
A job goes on over restarts of the daemon; \`millpool jobs\` shows it, \`millpool jobs cancel JOB\` stops it.
Asked again, what is missing is tried again; the same load that still runs is joined.`,
    )
    .action((path: string, options: LoadOptions) => context.run((tools) => runLoad(path, options, tools)));
}

async function runLoad(path: string, options: LoadOptions, tools: Tools): Promise<void> {
  const { verify = false, rate, concurrency: getsAtOnce = null } = options;
  const limits = { bytesPerSecond: rate === undefined ? null : parseRate(rate), getsAtOnce };
  const request = { path, verify, limits };
  const { job } = await tools.session.call('load', request, { signal: tools.signal });
  if (options.wait !== true) {
    tools.output.result({ job }, `Job ${job} is loading ${path}; \`millpool jobs\` shows how far it is.`);
    return;
  }
  tools.output.note(`Job ${job} is loading ${path}; after Ctrl-C it goes on.`);
  const status = await waitFor(job, tools);
  tools.output.result(status, describeJob(status));
  if (status.error !== null) throw new MillpoolError(status.error);
  if (status.failureCount > 0) throw new PartlyDone(await failuresOf(job, tools));
  if (status.state !== 'done') {
    throw new MillpoolError({ code: 'cancelled', message: `Job ${job} was cancelled.`, remedy: 'Start it again.' });
  }
}

function countOfGets(text: string): number {
  const count = Number(text);
  if (/^\d+$/.test(text) && count >= 1 && count <= getsAtOnceMax) return count;
  throw new InvalidArgumentError(`Write a whole number from 1 to ${getsAtOnceMax}.`);
}

async function waitFor(job: number, { session, output, signal }: Tools): Promise<JobStatus> {
  const bar = new ProgressBar(output.lively, 'loaded', 0);
  try {
    for (;;) {
      const status = await session.call('job', { job, waitSeconds: 0.5 }, { signal });
      if (status.state !== 'running') return status;
      bar.show(status.bytesDone, status.bytes);
    }
  } catch (error) {
    throw goesOn(job, error, signal);
  } finally {
    bar.stop();
  }
}

/** Who no longer waits, or can no longer, is told that the job does not end by that. */
function goesOn(job: number, error: unknown, signal: AbortSignal): MillpoolError {
  const hints = `\`millpool jobs\` shows it, \`millpool jobs cancel ${job}\` stops it.`;
  if (signal.aborted) {
    return new MillpoolError({ code: 'cancelled', message: `Interrupted; job ${job} goes on.`, remedy: hints });
  }
  const { shape } = asMillpoolError(error);
  const isAway = shape.code === 'unreachable' || shape.code === 'closed';
  const when = `Job ${job} goes on when the daemon is started again: ${hints}`;
  return new MillpoolError(isAway ? { ...shape, remedy: `${shape.remedy} ${when}`.trim() } : shape, { cause: error });
}
