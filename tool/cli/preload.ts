/**
 * wcvmm, started and loaded before its command line is known: on Bochs that takes longer than most commands.
 * `node preload.js JOB LOADED` creates the file LOADED and then waits at the FIFO JOB for {args, env}, as JSON.
 */
import { readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { startThreadAhead } from '../../vmm/kvm/vcpu-thread.ts';

const itself = /^tool\/cli\/(cli|preload)\.js$/;

function modulesBelow(room: string): readonly string[] {
  const found = readdirSync(join(root, room), { recursive: true, encoding: 'utf8' }).sort();
  return found.filter((name) => name.endsWith('.js')).map((name) => join(room, name));
}

const [jobPath = '', loadedPath = ''] = process.argv.slice(2);
const commandLine = join(import.meta.dirname, 'cli.js');
const root = join(import.meta.dirname, '../..');

/** Nothing that runs a guest needs these, and loading takes its time. */
const aside = /^tool\/(cli\/help|host|report\/html)\//;

for (const name of ['common', 'memattr', 'vmm', 'tool'].flatMap(modulesBelow)) {
  // The command line itself starts to work when it is loaded. What fails now fails again for whoever needs it.
  if (!aside.test(name) && !itself.test(name)) await import(join(root, name)).catch(() => {});
}
await startThreadAhead().catch(() => {});
writeFileSync(loadedPath, '');

const job = JSON.parse(readFileSync(jobPath, 'utf8')) as { args: string[]; env: Record<string, string> };
Object.assign(process.env, job.env);
process.chdir('/session/work');
process.argv = [process.argv0, commandLine, ...job.args];
await import(commandLine);
