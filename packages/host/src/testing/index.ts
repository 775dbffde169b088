export { HandClock } from './hand-clock.ts';
export { LogLines } from './log-lines.ts';
