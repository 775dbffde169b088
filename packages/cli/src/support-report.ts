import { open } from 'node:fs/promises';
import { arch, release, version as kernelVersion } from 'node:os';

import { redact, redactText } from '@millpool/host';
import { asMillpoolError } from '@millpool/protocol';
import type { ErrorShape, Method, Reply } from '@millpool/protocol';

import type { Tools } from './command-context.ts';
import { settingRows } from './commands/config.ts';
import { logOfDetached } from './detached.ts';
import { checkGroups } from './doctor/check-groups.ts';
import type { Check } from './doctor/check.ts';
import { version } from './version.ts';

const logBytesMax = 256 * 1024;
const answerSeconds = 10;

/**
 * What helps to find a fault from far away: program, machine, settings, checks, what the daemon says, and the end of
 * its log. Of a part that cannot be had it holds the error. Passwords, keys, tokens and signatures are taken out of all
 * of it; names of buckets, paths and hosts are what it is about, and stay.
 */
export async function supportReport(tools: Tools): Promise<object> {
  const report = {
    madeAt: new Date().toISOString(),
    version,
    node: process.versions.node,
    system: { release: release(), version: kernelVersion(), arch: arch() },
    settings: settingRows(tools.settings),
    variables: Object.keys(process.env).filter(isOfInterest).sort(),
    checks: await checked(tools),
    activity: withoutArguments(await ask(tools, 'activity')),
    attachments: await ask(tools, 'attachments'),
    jobs: await ask(tools, 'jobs'),
    log: await endOfLog(tools),
  };
  return redact('', report) as object;
}

function isOfInterest(variable: string): boolean {
  return /^(MILLPOOL|AWS|NODE|SSL)_|_proxy$/i.test(variable);
}

type Answer<M extends Method> = Reply<M> | { readonly error: ErrorShape };

async function ask<M extends 'activity' | 'attachments' | 'jobs'>(
  { session, signal }: Tools,
  method: M,
): Promise<Answer<M>> {
  try {
    return await session.call(method, {}, { signal, timeoutSeconds: answerSeconds });
  } catch (error) {
    signal.throwIfAborted();
    return { error: asMillpoolError(error).shape };
  }
}

/** What other people's programs were started with may be anything, keys too. */
function withoutArguments(activity: Answer<'activity'>): Answer<'activity'> {
  if ('error' in activity) return activity;
  const readers = activity.readers.map((reader) => ({ ...reader, program: reader.program.split(' ')[0] ?? '' }));
  return { ...activity, readers };
}

async function checked(tools: Tools): Promise<readonly Check[]> {
  const checks: Check[] = [];
  for await (const group of checkGroups(tools)) checks.push(...group);
  return checks;
}

async function endOfLog({ settings }: Tools): Promise<object> {
  const { logFile, socket } = settings.config;
  const path = logFile ?? logOfDetached(socket);
  try {
    await using file = await open(path);
    const { size } = await file.stat();
    const from = Math.max(0, size - logBytesMax);
    const buffer = Buffer.alloc(Math.min(size, logBytesMax));
    const { bytesRead } = await file.read(buffer, 0, buffer.length, from);
    const lines = buffer.toString('utf8', 0, bytesRead).split('\n');
    // The first one is the end of a line where it does not begin with the file.
    return {
      path,
      lines: lines
        .slice(from === 0 ? 0 : 1)
        .filter((line) => line !== '')
        .map(redactText),
    };
  } catch (error) {
    return { path, error: (error as Error).message };
  }
}
