export { abortError, systemClock } from './clock.ts';
export type { Clock, Timer } from './clock.ts';
export { timeoutError, unlessAborted, withDeadline } from './deadline.ts';
export type { Wait } from './deadline.ts';
export { logFormats, logLevels, openLog, silentLog } from './log.ts';
export type { Log, LogConfig, LogFields, LogFormat, LogLevel } from './log.ts';
export { redactText } from './redact.ts';
