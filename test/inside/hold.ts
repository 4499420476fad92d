/** Runs inside a testbed: keeps a file open (the first argument) while a program (the others) runs; its exit code is this one's. */
import { spawnSync } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';

const [path = '', program = '', ...args] = process.argv.slice(2);
const file = openSync(path, 'r+');
process.exitCode = spawnSync(program, args, { stdio: 'inherit' }).status ?? 1;
closeSync(file);
