/** Of the messages on both roads; grows when an older peer could misread a newer one. Unequal peers part at once. */
export const protocolVersion = 1;

/** Of one message, ours or a peer's, on either road. */
export const messageBytesMax = 32 * 1024 * 1024;
