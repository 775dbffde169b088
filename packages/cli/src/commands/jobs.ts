import type { Command } from 'commander';
import { InvalidArgumentError } from 'commander';
import { formatBytes } from '@millpool/protocol';
import type { JobStatus } from '@millpool/protocol';

import type { CommandContext, Tools } from '../command-context.ts';
import { describeJob, failuresOf, paceOf, percentDone } from '../load-job.ts';
import { printable, table } from '../output.ts';

const head = ['job', 'path', 'state', 'done', 'files', 'bytes', 'rate', ''];

export function jobsCommand(program: Command, context: CommandContext): void {
  const jobs = program
    .command('jobs')
    .description('Load jobs of this node: those that run, and those that ended in the last days; the newest last')
    .addHelpText('after', '\nJobs go on over restarts of the daemon. Without a command they are listed.');
  jobs
    .command('ls', { isDefault: true })
    .description('All of them, with progress, rate and time left')
    .argument('[job]', 'only this one, as `jobs show` has it', jobNumber)
    .action((job?: number) => context.run((tools) => (job === undefined ? runJobs(tools) : runShow(job, tools))));
  jobs
    .command('show')
    .description('One job, with every file that it could not load, and why')
    .argument('<job>', 'its number', jobNumber)
    .action((job: number) => context.run((tools) => runShow(job, tools)));
  jobs
    .command('cancel')
    .description('Stop a job; what it has loaded stays')
    .argument('<job>', 'its number', jobNumber)
    .action((job: number) =>
      context.run(async ({ session, output, signal }) => {
        const status = await session.call('job-cancel', { job }, { signal });
        output.result(status, `${job}  ${describeJob(status)}`);
      }),
    );
}

async function runJobs({ session, output, signal }: Tools): Promise<void> {
  const { jobs } = await session.call('jobs', {}, { signal });
  if (output.json) for (const job of jobs) output.result(job, '');
  else if (jobs.length > 0) output.result({}, table([head, ...jobs.map(row)], [0, 3, 4, 5, 6]));
}

async function runShow(job: number, tools: Tools): Promise<void> {
  const status = await tools.session.call('job', { job, waitSeconds: 0 }, { signal: tools.signal });
  const failures = status.failureCount === 0 ? [] : await failuresOf(job, tools);
  const lines = failures.map(({ code, message, path = '' }) => `  ${printable(path)}: ${code}: ${printable(message)}`);
  const pace = paceOf(status).filter((text) => text !== '');
  const text = [`${job}  ${[describeJob(status), ...pace].join(', ')}`, ...lines].join('\n');
  tools.output.result({ ...status, failures }, text);
}

function row(status: JobStatus): readonly string[] {
  const { job, path, state, files, filesDone, bytes, bytesDone, failureCount } = status;
  const ended = failureCount === 0 ? state : `${state}, ${failureCount} failed`;
  const done = [`${filesDone} of ${files}`, `${formatBytes(bytesDone)} of ${formatBytes(bytes)}`];
  return [String(job), printable(path), ended, percentDone(status), ...done, ...paceOf(status)];
}

function jobNumber(text: string): number {
  const job = Number(text);
  if (/^\d+$/.test(text) && Number.isSafeInteger(job)) return job;
  throw new InvalidArgumentError('A job is a whole number; `millpool jobs` lists them.');
}
