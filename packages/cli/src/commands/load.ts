import type { Command } from 'commander';
import { formatBytes, MillpoolError } from '@millpool/protocol';
import type { JobStatus } from '@millpool/protocol';

import { PartlyDone } from '../command-context.ts';
import type { CommandContext, Tools } from '../command-context.ts';
import { ProgressBar } from '../progress-bar.ts';

export function loadCommand(program: Command, context: CommandContext): void {
  program
    .command('load')
    .description('Bring every byte below a path into the cache')
    .argument('<path>', 'absolute path in the namespace')
    .option('--wait', 'return when every byte is here and checked; Ctrl-C cancels the job')
    .option('--verify', 'also read back and check what is here already')
    .addHelpText('after', '\nExit codes: 0 all is here, 3 some files could not be loaded (they are listed).')
    .action((path: string, options: { wait?: boolean; verify?: boolean }) =>
      context.run(async (tools) => {
        const request = { path, verify: options.verify === true };
        const { job } = await tools.session.call('load', request, { signal: tools.signal });
        if (options.wait === true) await waitFor(job, tools);
        else tools.output.result({ job }, `Job ${job} is loading ${path}; \`millpool jobs\` shows how far it is.`);
      }),
    );
}

async function waitFor(job: number, { session, output, signal }: Tools): Promise<void> {
  const bar = new ProgressBar(output.lively, 'loaded', 0);
  let status: JobStatus;
  try {
    do {
      status = await session.call('job', { job, waitSeconds: 0.5 }, { signal });
      bar.show(status.bytesDone, status.bytes);
    } while (status.state === 'running');
  } catch (error) {
    if (signal.aborted) await session.call('job-cancel', { job });
    throw error;
  } finally {
    bar.stop();
  }
  output.result(status, describeJob(status));
  if (status.failureCount > 0) throw new PartlyDone(status.failures);
  if (status.state !== 'done') {
    throw new MillpoolError({ code: 'cancelled', message: `Job ${job} was cancelled.`, remedy: 'Start it again.' });
  }
}

export function describeJob(status: JobStatus): string {
  const { filesDone, files, bytesDone, bytes, seconds, failureCount } = status;
  const failed = failureCount === 0 ? '' : `, ${failureCount} failed`;
  return (
    `${status.path}: ${status.state}, ${filesDone} of ${files} files, ` +
    `${formatBytes(bytesDone)} of ${formatBytes(bytes)} in ${seconds.toFixed(1)} s${failed}`
  );
}
