#!/usr/bin/env node
/** The command line. What a command needs is loaded when it is asked for, and its version needs nothing. */
import { packageVersion } from '../../common/version.ts';

const argv = process.argv.slice(2);
const [only] = argv;
if (argv.length === 1 && (only === '--version' || only === '-V')) process.stdout.write(`${packageVersion()}\n`);
else void start();

async function start(): Promise<void> {
  const { loadBundlesWithCode } = await import('../../common/code-cache.ts');
  loadBundlesWithCode();
  const { main } = await import('./main.ts');
  await main(argv);
}
