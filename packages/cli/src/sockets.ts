/** Beside the socket that SDKs use for bytes stands the one for control messages. */
export function controlSocketOf(socket: string): string {
  return `${socket}.control`;
}
