import { systemClock } from '@millpool/host';
import type { Timer } from '@millpool/host';
import type { WebSocket } from 'ws';

const pingMs = 5_000;
const silenceMsMax = 15_000;

/** Ends a connection over which nothing has come for too long: its other end stopped, or is cut off. */
export function endWhenSilent(socket: WebSocket): void {
  let heardMs = systemClock.monotonicMs();
  const heard = (): void => void (heardMs = systemClock.monotonicMs());
  socket.on('pong', heard).on('ping', heard).on('message', heard);
  let timer: Timer | null = null;
  const beat = (): void => {
    // What is not read since we hold it back says nothing about the other end.
    if (socket.isPaused) heard();
    if (systemClock.monotonicMs() - heardMs > silenceMsMax) return socket.terminate();
    if (socket.readyState === socket.OPEN) socket.ping();
    timer = systemClock.after(pingMs, beat);
  };
  timer = systemClock.after(pingMs, beat);
  socket.on('close', () => timer?.cancel());
}
