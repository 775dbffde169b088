import { once } from 'node:events';
import { createServer } from 'node:http';

import { asMillpoolError, MillpoolError } from '@millpool/protocol';
import type { Activity } from '@millpool/protocol';

import { activityMetrics } from './activity-metrics.ts';

export interface MetricsEndpoint {
  close(): Promise<void>;
}

const textForm = 'text/plain; version=0.0.4';

/** Serves a daemon's numbers to Prometheus at `http://HOST:PORT/metrics`. `address`: `HOST:PORT`, `[HOST]:PORT`. */
export async function listenMetrics(address: string, read: () => Promise<Activity>): Promise<MetricsEndpoint> {
  const server = createServer((request, response) => {
    if (request.method !== 'GET' || request.url !== '/metrics') return void response.writeHead(404).end();
    const answered = read().then(
      (activity) => response.writeHead(200, { 'content-type': textForm }).end(activityMetrics(activity)),
      (error: unknown) => response.writeHead(500).end(`${asMillpoolError(error).message}\n`),
    );
    void answered;
  });
  const colon = address.lastIndexOf(':');
  const host = address.slice(0, colon).replace(/^\[(.*)\]$/, '$1');
  server.listen(Number(address.slice(colon + 1)), host);
  await once(server, 'listening').catch((error: unknown) => {
    throw new MillpoolError(
      {
        code: 'invalid',
        message: `metrics cannot be served at ${address}: ${(error as Error).message}`,
        remedy: 'Name another HOST:PORT with MILLPOOL_METRICS.',
      },
      { cause: error },
    );
  });
  return {
    async close() {
      const closed = once(server, 'close');
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
}
