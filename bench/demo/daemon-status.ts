import type { Status } from '@millpool/protocol';
import { connectTransport } from '@millpool/transport';

/** What `millpool status` would say. */
export async function daemonStatus(controlSocket: string): Promise<Status> {
  const connection = await connectTransport(controlSocket);
  try {
    return await connection.call('status', {});
  } finally {
    await connection.close();
  }
}
