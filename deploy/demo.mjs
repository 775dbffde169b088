import { become } from './command.mjs';
import { buildOrExplain } from './build.mjs';
import { root } from './places.mjs';

if (await buildOrExplain()) become(process.execPath, [`${root}/bench/dist/demo/main.js`, ...process.argv.slice(2)]);
