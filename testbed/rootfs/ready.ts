/**
 * wcvmm, started and loaded before anybody knows what it is to do: Bochs takes longer for that than for most work.
 * `node ready.js ORDER READY` makes the file READY and then waits at the FIFO ORDER for {args, env}, as JSON.
 */
import { readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { startThreadAhead } from '../../vmm/kvm/vcpu.ts';

const [orderPath = '', readyPath = ''] = process.argv.slice(2);
const commandLine = join(import.meta.dirname, '../../vmm/cli.js');
const vmm = join(import.meta.dirname, '../../vmm');

/** Nothing that runs a guest needs these, and loading takes its time. */
const aside = /^(help|devices|doctor|report\/html)\//;

for (const name of readdirSync(vmm, { recursive: true, encoding: 'utf8' }).sort()) {
  const path = join(vmm, name);
  // The command line itself starts to work when it is loaded. What fails now fails again for whoever needs it.
  if (name.endsWith('.js') && path !== commandLine && !aside.test(name)) await import(path).catch(() => {});
}
await startThreadAhead().catch(() => {});
writeFileSync(readyPath, '');

const order = JSON.parse(readFileSync(orderPath, 'utf8')) as { args: string[]; env: Record<string, string> };
Object.assign(process.env, order.env);
process.chdir('/session/work');
process.argv = [process.argv0, commandLine, ...order.args];
await import(commandLine);
