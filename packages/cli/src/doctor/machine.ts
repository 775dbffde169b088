import { constants } from 'node:fs';
import { access, readFile, stat, statfs } from 'node:fs/promises';
import { availableParallelism, freemem, release, totalmem } from 'node:os';

import { ioUringFault } from '@millpool/native';
import { formatBytes } from '@millpool/protocol';

import { fail, ok, warn } from './check.ts';
import type { Check } from './check.ts';

const kernelFloor = [5, 10] as const;
/** A daemon holds a descriptor a segment, a device and a connection. */
const filesMin = 4_096;
const processesMin = 1_024;
const sharedMemoryMin = 64 * 1024 ** 2;

/** What this machine allows, of what Millpool can use. */
export async function machineChecks(budgetBytes: number): Promise<readonly Check[]> {
  return [
    kernel(),
    ioUring(),
    await fuse(),
    await hugePages(),
    ...(await limits(budgetBytes)),
    await sharedMemory(),
    await memory(budgetBytes),
  ];
}

function kernel(): Check {
  const version = release();
  const [major = 0, minor = 0] = version.split('.').map((part) => Number.parseInt(part, 10));
  const processors = availableParallelism();
  const sentence = `Linux ${version}, ${process.arch}, Node ${process.versions.node}, ${processors} processors.`;
  const isOld = major < kernelFloor[0] || (major === kernelFloor[0] && minor < kernelFloor[1]);
  if (!isOld) return ok('kernel', sentence);
  return warn('kernel', `${sentence} It is older than ${kernelFloor.join('.')}.`, 'Millpool is tested on newer ones.');
}

function ioUring(): Check {
  const fault = ioUringFault();
  if (fault === null) return ok('io_uring', 'io_uring can be used.');
  return warn(
    'io_uring',
    `io_uring cannot be used (${fault}): cold reads go by pread, which takes more processor time.`,
    'Look at `sysctl kernel.io_uring_disabled`, and at the seccomp profile of the container.',
  );
}

async function fuse(): Promise<Check> {
  const device = '/dev/fuse';
  const found = await stat(device).catch(() => null);
  if (found === null || !found.isCharacterDevice()) {
    return warn(
      'fuse',
      `There is no ${device}: nothing can be mounted; SDKs do not need it.`,
      'Load the module fuse, or give the container --device /dev/fuse.',
    );
  }
  const refused = await access(device, constants.R_OK | constants.W_OK).then(
    () => false,
    () => true,
  );
  if (!refused) return ok('fuse', `${device} can be opened.`);
  return warn(
    'fuse',
    `${device} may not be opened by this user: nothing can be mounted; SDKs do not need it.`,
    'Make it readable and writable for this user (usually mode 0666).',
  );
}

async function hugePages(): Promise<Check> {
  const settings = '/sys/kernel/mm/transparent_hugepage';
  const chosenIn = async (file: string): Promise<string | undefined> =>
    /\[(\w+)\]/.exec(await readFile(`${settings}/${file}`, 'utf8').catch(() => ''))?.[1];
  const [chosen, ofFiles] = [await chosenIn('enabled'), await chosenIn('shmem_enabled')];
  if (chosen === 'always' || chosen === 'madvise') {
    const remedy = ` (\`echo advise > ${settings}/shmem_enabled\` makes look-ups in a large one a fifth cheaper)`;
    const hasNone = ofFiles === 'never' || ofFiles === 'deny';
    const table = `for the key table: ${ofFiles ?? 'none'}${hasNone ? remedy : ''}`;
    return ok('huge pages', `Transparent huge pages: ${chosen}; ${table}.`);
  }
  return warn(
    'huge pages',
    chosen === undefined ? 'This kernel has no transparent huge pages.' : 'Transparent huge pages are off.',
    'echo madvise > /sys/kernel/mm/transparent_hugepage/enabled makes gathers cheaper.',
  );
}

async function limits(budgetBytes: number): Promise<readonly Check[]> {
  const text = await readFile('/proc/self/limits', 'utf8');
  const soft = (name: string): number => {
    const value = new RegExp(`^${name}\\s+(\\S+)`, 'm').exec(text)?.[1];
    return value === 'unlimited' || value === undefined ? Number.POSITIVE_INFINITY : Number(value);
  };
  const files = soft('Max open files');
  const processes = Math.min(soft('Max processes'), await controlGroupPids());
  const addressSpace = soft('Max address space');
  const shown = (count: number): string => (Number.isFinite(count) ? String(count) : 'unlimited');
  return [
    files < filesMin
      ? fail(
          'open files',
          `At most ${files} files may be open; a daemon needs ${filesMin}.`,
          'Raise it: `ulimit -n 65536`.',
        )
      : ok('open files', `At most ${shown(files)} files may be open.`),
    processes < processesMin
      ? warn(
          'processes',
          `At most ${processes} processes and threads may run; a busy node has some hundreds.`,
          'Raise `ulimit -u`, or the pids limit of the container.',
        )
      : ok('processes', `At most ${shown(processes)} processes and threads may run.`),
    Number.isFinite(addressSpace)
      ? fail(
          'address space',
          `The address space is limited to ${formatBytes(addressSpace)}; segments are mapped, and Node maps more.`,
          'Remove the limit: `ulimit -v unlimited`; a memory limit belongs into the control group.',
        )
      : ok('address space', `The address space is not limited; buffers take at most ${formatBytes(budgetBytes)}.`),
  ];
}

async function controlGroupPids(): Promise<number> {
  return numberIn('/sys/fs/cgroup/pids.max');
}

/** Infinity for `max`, and where there is no such file. */
async function numberIn(file: string): Promise<number> {
  const text = (await readFile(file, 'utf8').catch(() => 'max')).trim();
  return text === 'max' ? Number.POSITIVE_INFINITY : Number(text);
}

async function sharedMemory(): Promise<Check> {
  const found = await statfs('/dev/shm').catch(() => null);
  if (found === null) {
    return warn('shared memory', 'There is no /dev/shm.', 'PyTorch workers need it: mount a tmpfs there.');
  }
  const free = found.bavail * found.bsize;
  const sentence = `/dev/shm has ${formatBytes(free)} free.`;
  if (free >= sharedMemoryMin) return ok('shared memory', sentence);
  return warn(
    'shared memory',
    `${sentence} PyTorch's workers pass tensors through it.`,
    'Give the container more: --shm-size=8g.',
  );
}

async function memory(budgetBytes: number): Promise<Check> {
  const text = await readFile('/proc/meminfo', 'utf8').catch(() => '');
  const available = Number(/^MemAvailable:\s+(\d+) kB/m.exec(text)?.[1] ?? freemem() / 1024) * 1024;
  const limit = Math.min(totalmem(), await numberIn('/sys/fs/cgroup/memory.max'));
  const sentence = `${formatBytes(available)} of ${formatBytes(limit)} of memory are available, also as page cache.`;
  if (available >= budgetBytes && limit > 1.25 * budgetBytes) return ok('memory', sentence);
  return warn(
    'memory',
    `${sentence} The daemon's buffers may take ${formatBytes(budgetBytes)}.`,
    'Give it less (MILLPOOL_BUDGET), or the machine or container more.',
  );
}
