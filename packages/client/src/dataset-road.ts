import type { FlowClient } from '@millpool/native';
import type { Call } from '@millpool/protocol';

/** How a dataset reaches its daemon. */
export interface DatasetRoad {
  readonly flow: FlowClient;
  readonly call: Call;
  readonly timeoutMs: number;
}
