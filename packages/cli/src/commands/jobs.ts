import type { Command } from 'commander';

import type { CommandContext } from '../command-context.ts';
import { describeJob } from './load.ts';

export function jobsCommand(program: Command, context: CommandContext): void {
  program
    .command('jobs')
    .description('Load jobs of this daemon, the newest last')
    .action(() =>
      context.run(async ({ session, output, signal }) => {
        const { jobs } = await session.call('jobs', {}, { signal });
        for (const job of jobs) output.result(job, `${job.job}  ${describeJob(job)}`);
      }),
    );
}
