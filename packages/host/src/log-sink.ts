import { appendFileSync } from 'node:fs';

import { MillpoolError } from '@millpool/protocol';

/**
 * Takes the lines of a log: at the end of a file, or on standard error where `file` is null. The file is opened for
 * each line, so one that was moved away (logrotate) is made again. A line that cannot be written there goes to
 * standard error, and nowhere when nobody reads that either: a daemon outlives its terminal and a full disk.
 * Throws `invalid` for a file that cannot be written to begin with.
 */
export function openLogSink(file: string | null): (line: string) => void {
  // Without a listener the first write after the terminal is gone would end the process.
  if (process.stderr.listenerCount('error') === 0) process.stderr.on('error', () => undefined);
  const toStandardError = (line: string): void => void process.stderr.write(line);
  if (file === null) return toStandardError;
  try {
    appendFileSync(file, '');
  } catch (error) {
    throw new MillpoolError(
      {
        code: 'invalid',
        message: `the log file ${file} cannot be written: ${(error as Error).message}`,
        remedy: 'Name another one with MILLPOOL_LOG_FILE, or let this user write it.',
      },
      { cause: error },
    );
  }
  return (line) => {
    try {
      appendFileSync(file, line);
    } catch {
      toStandardError(line);
    }
  };
}
