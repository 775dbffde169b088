import { become } from './command.mjs';
import { buildOrExplain } from './build.mjs';
import { root } from './places.mjs';

const main = `${root}/test/dist/simulation/main.js`;
if (await buildOrExplain()) become(process.execPath, [main, ...process.argv.slice(2)]);
