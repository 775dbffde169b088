import { crashBucket, crashLimits } from './crash-round.ts';
import { NodeFixture } from './node-fixture.ts';

/**
 * Attaches a bucket and lists it again and again, as another each time, until it is killed. Each round says on stdout
 * what the time is and which round begins.
 */
const [directory = '', name = '', startMs = ''] = process.argv.slice(2);

const bucket = crashBucket(name, 0);
const node = await NodeFixture.at(directory, crashLimits, bucket);
await node.clock.advance(Number(startMs));
await node.attachBucket(bucket, `/${name}`, { kind: 'strict' });
for (let round = 0; ; round += 1) {
  process.stdout.write(`${node.clock.monotonicMs()} ${round}\n`);
  bucket.replaceWith(crashBucket(name, round));
  await node.list(`/${name}`);
  await node.clock.advance(1);
}
