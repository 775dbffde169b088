// What the stall report adds to a batch in JavaScript: `node report-account.js BATCH TIMES` prints the mean of so many.
import { StallAccount } from '@millpool/client/stall-account';

const [batch = 0, times = 0] = process.argv.slice(2).map(Number);

/** As many objects and clock readings as the loader makes for it. */
function account(count: number): number {
  const stalls = new StallAccount();
  for (let n = 0; n < count; n += 1) {
    const askedMs = performance.now();
    const cameMs = performance.now();
    const read = {
      length: batch,
      hits: batch,
      device: 0,
      bytes: 4096 * batch,
      fetchedBytes: 0,
      deviceBytes: 0,
      failures: { size: 0 },
      waits: { sourceNs: 0, peerNs: 0, deviceNs: 0, gatherNs: 100_000, queueNs: 20_000 + (n % 7) },
    };
    stalls.delivered(read, { askedMs, deliveredMs: performance.now(), cameMs, skipped: 0 });
    stalls.fetchedAhead({ fetchedSamples: n, fetchedBytes: n, fetchSeconds: 0 });
  }
  return stalls.waitSeconds.gather;
}

account(Math.ceil(times / 10));
const before = process.cpuUsage();
account(times);
const { user, system } = process.cpuUsage(before);
process.stdout.write(`${JSON.stringify({ micros: (user + system) / times })}\n`);
