/** A process that begins anew without io_uring, as one that has a ring does. Prints what it is then, and the filters of its threads. */
import { readFileSync } from 'node:fs';
import { restartWithoutIoUring } from '../../vmm/sandbox/without-io-uring.ts';
import { enterSandbox } from '../../vmm/sandbox/enter.ts';
import { ioUringRefusal } from '../../vmm/sys/sandbox-calls.ts';

process.stdout.write(`begins ${process.pid}\n`);
restartWithoutIoUring(() => process.argv[2] === 'ring');
const filters = /^Seccomp_filters:\s*(\d+)/m;
const count = (): number => Number(filters.exec(readFileSync('/proc/self/status', 'utf8'))?.[1]);
const [before, refusal] = [count(), ioUringRefusal()];
enterSandbox();
process.stdout.write(`${JSON.stringify({ argv: process.argv.slice(2), before, refusal })}\n`);
