import type { PythonEnvironment } from '@millpool/test/harness';

import { torchEnvironment } from './python-program.ts';

/** Another loader of training data, with what it needs. */
export interface Rival {
  /** With its version. */
  readonly title: string;
  /** Of `bench/python`: what is written first, in the loader's own format, and read; or objects where they are. */
  readonly program: string;
  readonly environment: PythonEnvironment;
  /** Ways to read, of which the fastest on the machine is held against ours: the last arguments of the program. */
  readonly ways: readonly (readonly string[])[];
  /** For people. */
  readonly wayName: (way: readonly string[]) => string;
  readonly goal: number;
}

/** Of worker processes. */
const workers = [['0'], ['2']];
const workersName = ([count = '']: readonly string[]): string => `${count} workers`;

const loadersEnvironment: PythonEnvironment = {
  name: 'loaders',
  title: 'torch, LitData, WebDataset and grain (700 MB to fetch, 6 GB on disk)',
  requirements: [
    ...torchEnvironment.requirements,
    'torchdata==0.11.0',
    'litdata==0.2.76',
    'webdataset==1.0.2',
    'grain==0.2.18',
    's3torchconnector==1.5.0',
    's3fs==2026.9.0',
    'zstd==1.5.7.2',
    'obstore==0.12.1',
    'uvloop==0.23.0',
  ],
};

/** It wants older libraries than the others do. */
const mosaicEnvironment: PythonEnvironment = {
  name: 'mosaic',
  title: 'MosaicML Streaming (700 MB to fetch, 6 GB on disk)',
  requirements: ['mosaicml-streaming==0.13.0'],
};

export const litData: Rival = {
  title: 'LitData 0.2.76 over chunks of 64 MB',
  program: 'litdata_batches',
  environment: loadersEnvironment,
  ways: workers,
  wayName: workersName,
  goal: 3,
};

export const webDataset: Rival = {
  title: 'WebDataset 1.0.2 over tar files of 64 MiB',
  program: 'webdataset_batches',
  environment: loadersEnvironment,
  ways: workers,
  wayName: workersName,
  goal: 10,
};

export const mosaic: Rival = {
  title: 'MosaicML Streaming 0.13.0 over shards of 64 MB',
  program: 'mosaic_batches',
  environment: mosaicEnvironment,
  ways: workers,
  wayName: workersName,
  goal: 10,
};

export const grain: Rival = {
  title: 'grain 0.2.18',
  program: 'grain_batches',
  environment: loadersEnvironment,
  ways: [
    ['files', '0'],
    ['files', '16'],
    ['records', '0'],
    ['records', '16'],
  ],
  wayName: ([source = '', threads = '']) =>
    `${source === 'files' ? 'single files' : 'ArrayRecord'}, ${threads} threads`,
  goal: 4,
};

export const litDataRaw: Rival = {
  title: 'LitData 0.2.76 StreamingRawDataset',
  program: 'litdata_raw_objects',
  environment: loadersEnvironment,
  ways: workers,
  wayName: workersName,
  goal: 1.3,
};

export const s3TorchConnector: Rival = {
  title: 's3torchconnector 1.5.0',
  program: 's3torchconnector_objects',
  environment: loadersEnvironment,
  ways: [
    ['map', '2'],
    ['map', '16'],
    ['iterable', '16'],
  ],
  wayName: ([kind = '', count = '']) => `${kind}-style, ${count} workers`,
  goal: 5,
};

/** With a cache that has a limit: `PROGRAM OUT SCRATCH LIMIT_BYTES BATCH`, over what the rival's program wrote. */
export const cachedRivals: readonly { readonly rival: Rival; readonly program: string }[] = [
  { rival: litData, program: 'litdata_cached' },
  { rival: mosaic, program: 'mosaic_cached' },
];

/** Torch's own, with a state that can be kept. */
export const statefulDataLoader = {
  title: 'torchdata 0.11.0 StatefulDataLoader',
  program: 'stateful_resume',
  environment: loadersEnvironment,
};
