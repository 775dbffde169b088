// Brings a node up in this process and down again, and keeps the code that V8 made of what ran. Its environment is its
// own: nobody's settings and nobody's data are met.
import { existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { compileBundle } from '../packages/cli/bin/bundle.mjs';

const pollMs = 20;

const place = mkdtempSync(join(tmpdir(), 'millpool-'));
const [source, data, socket] = ['source', 'data', 'socket'].map((name) => join(place, name));
mkdirSync(source);
for (const name of Object.keys(process.env)) if (name.startsWith('MILLPOOL_')) delete process.env[name];
Object.assign(process.env, { HOME: place, XDG_CONFIG_HOME: place, MILLPOOL_STATE_DIRECTORY: join(place, 'state') });
process.argv.splice(2, Infinity, 'up', source, '--data', data, '--socket', socket, '--size', '128MiB');

const bundle = compileBundle();
bundle.run();
process.on('exit', (code) => {
  if (code === 0) bundle.keepCode();
  rmSync(place, { recursive: true, force: true });
});
while (process.exitCode === undefined && !existsSync(`${socket}.control`)) await sleep(pollMs);
// One that failed ends by itself.
if (process.exitCode === undefined) process.kill(process.pid, 'SIGINT');
