/** Runs inside a testbed: wcvmm's command line (the arguments) as a user who may nothing. */
import process from 'node:process';

const NOBODY = 65534;
process.setgroups?.([]);
process.setgid?.(NOBODY);
process.setuid?.(NOBODY);
await import('../../tool/cli/cli.ts');
