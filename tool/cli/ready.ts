/**
 * wcvmm, started and loaded before anybody knows what it is to do: Bochs takes longer for that than for most work.
 * `node ready.js ORDER READY` makes the file READY and then waits at the FIFO ORDER for {args, env}, as JSON.
 */
import { readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { startThreadAhead } from '../../vmm/kvm/vcpu-thread.ts';

const itself = /^tool\/cli\/(cli|ready)\.js$/;

function modulesBelow(room: string): readonly string[] {
  const found = readdirSync(join(root, room), { recursive: true, encoding: 'utf8' }).sort();
  return found.filter((name) => name.endsWith('.js')).map((name) => join(room, name));
}

const [orderPath = '', readyPath = ''] = process.argv.slice(2);
const commandLine = join(import.meta.dirname, 'cli.js');
const root = join(import.meta.dirname, '../..');

/** Nothing that runs a guest needs these, and loading takes its time. */
const aside = /^tool\/(cli\/help|host|report\/html)\//;

for (const name of ['common', 'memattr', 'vmm', 'tool'].flatMap(modulesBelow)) {
  // The command line itself starts to work when it is loaded. What fails now fails again for whoever needs it.
  if (!aside.test(name) && !itself.test(name)) await import(join(root, name)).catch(() => {});
}
await startThreadAhead().catch(() => {});
writeFileSync(readyPath, '');

const order = JSON.parse(readFileSync(orderPath, 'utf8')) as { args: string[]; env: Record<string, string> };
Object.assign(process.env, order.env);
process.chdir('/session/work');
process.argv = [process.argv0, commandLine, ...order.args];
await import(commandLine);
