// A daemon of a test that serves, and ends without closing its engine.
import { rmSync } from 'node:fs';

import { packObjects } from '../object-list.ts';
import { TestEngine, testFiles } from './test-engine.ts';

const engine = await TestEngine.start();
void engine.engine.fetch(packObjects(testFiles(20)), 'load');
process.on('exit', () => rmSync(engine.folder, { recursive: true }));
