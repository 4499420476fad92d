/**
 * wcvmm, started and loaded before its command line is known: on Bochs that takes longer than most commands.
 * `node preload.js JOB LOADED` creates the file LOADED and then waits at the FIFO JOB for {args, env}, as JSON.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { startThreadAhead } from '../../vmm/kvm/vcpu-thread.ts';
import { preloadCommands } from './commands/program.ts';
import { main } from './main.ts';

const [jobPath = '', loadedPath = ''] = process.argv.slice(2);

await preloadCommands();
await startThreadAhead().catch(() => {});
writeFileSync(loadedPath, '');

const job = JSON.parse(readFileSync(jobPath, 'utf8')) as { args: string[]; env: Record<string, string> };
Object.assign(process.env, job.env);
process.chdir('/session/work');
process.argv = [process.argv0, join(import.meta.dirname, 'cli.js'), ...job.args];
await main(job.args);
