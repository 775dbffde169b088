import { setTimeout as sleep } from 'node:timers/promises';

import type { Command } from 'commander';
import { MillpoolError } from '@millpool/protocol';

import type { CommandContext } from '../command-context.ts';

const deadlineSeconds = 60;

export function downCommand(program: Command, context: CommandContext): void {
  program
    .command('down')
    .description('Stop the daemon of this node cleanly')
    .action(() =>
      context.run(async ({ session, output, signal }) => {
        const { pid } = await session.call('shutdown', {}, { signal });
        const deadlineMs = performance.now() + deadlineSeconds * 1000;
        while (isAlive(pid)) {
          signal.throwIfAborted();
          if (performance.now() > deadlineMs) {
            throw new MillpoolError({
              code: 'timeout',
              message: `Waited ${deadlineSeconds} s for the daemon (pid ${pid}) to stop; it is still running.`,
              remedy: `Look at its log; \`kill ${pid}\` asks again, and what is cached survives even kill -9.`,
            });
          }
          await sleep(50);
        }
        output.result({ pid }, `The daemon (pid ${pid}) has stopped.`);
      }),
    );
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
