#!/usr/bin/env node
import { program } from './program.ts';

/** What did not close in its time keeps nobody waiting longer. */
const lastMs = 5_000;

process.exitCode = await program(process.argv);
setTimeout(() => process.exit(), lastMs).unref();
