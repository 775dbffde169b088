export { connectTransport } from './connect.ts';
export type { TransportConnection } from './connect.ts';
export { dispatch } from './dispatch.ts';
export type { Turns } from './dispatch.ts';
export { listenTransport } from './listen.ts';
export type { TransportServer } from './listen.ts';
export { isStaleSocket } from './socket-path.ts';
