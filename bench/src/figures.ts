import type { Figure } from './figure.ts';
import { coldDevice } from './figures/cold-device.ts';
import { coldEpoch } from './figures/cold-epoch.ts';
import { coldEpochAwsSdk } from './figures/cold-epoch-aws-sdk.ts';
import { coldLoad } from './figures/cold-load.ts';
import { halfCache } from './figures/half-cache.ts';
import { list1m } from './figures/list-1m.ts';
import { loaderOverhead } from './figures/loader-overhead.ts';
import { orderCache } from './figures/order-cache.ts';
import { pyReportCost, reportCost } from './figures/report-cost.ts';
import { mdFailover } from './figures/md-failover.ts';
import { mdHot } from './figures/md-hot.ts';
import { mdHotSimulated } from './figures/md-hot-simulated.ts';
import { mdImport } from './figures/md-import.ts';
import { mdMove } from './figures/md-move.ts';
import { mdLookup } from './figures/md-lookup.ts';
import { mdRestart } from './figures/md-restart.ts';
import { mdVsRedis } from './figures/md-vs-redis.ts';
import { memoryBound } from './figures/memory-bound.ts';
import { order100m } from './figures/order-100m.ts';
import { pyGpu, pyGpuTraining, pyGpuVsDataLoader } from './figures/py-gpu.ts';
import { pyStall } from './figures/py-stall.ts';
import { pyCold, pyColdLitDataRaw, pyColdS3TorchConnector } from './figures/py-cold.ts';
import { pyHalfCache } from './figures/py-half-cache.ts';
import { pyResume } from './figures/py-resume.ts';
import { pyVsGrain, pyVsLitData, pyVsMosaic, pyVsWebDataset } from './figures/py-vs-loaders.ts';
import { pyVsDataLoader, pyVsDataLoaderCollated, pyWarmBatch } from './figures/py-warm-batch.ts';
import { restartClean, restartCrash } from './figures/restart.ts';
import { slowTier } from './figures/slow-tier.ts';
import { warmBatch } from './figures/warm-batch.ts';
import { warmBatchNodeFiles } from './figures/warm-batch-node-files.ts';

/** Every figure, in the order of the table: another one is a file in `figures/` and a line here. */
export const figures: readonly Figure[] = [
  warmBatch,
  warmBatchNodeFiles,
  loaderOverhead,
  reportCost,
  coldDevice,
  coldEpoch,
  coldLoad,
  coldEpochAwsSdk,
  halfCache,
  orderCache,
  slowTier,
  list1m,
  mdLookup,
  mdVsRedis,
  memoryBound,
  order100m,
  restartClean,
  restartCrash,
  mdImport,
  mdHot,
  mdHotSimulated,
  mdFailover,
  mdMove,
  mdRestart,
  pyWarmBatch,
  pyVsDataLoader,
  pyVsDataLoaderCollated,
  pyVsLitData,
  pyVsWebDataset,
  pyVsMosaic,
  pyVsGrain,
  pyCold,
  pyColdLitDataRaw,
  pyColdS3TorchConnector,
  pyHalfCache,
  pyResume,
  pyStall,
  pyReportCost,
  pyGpu,
  pyGpuVsDataLoader,
  pyGpuTraining,
];
