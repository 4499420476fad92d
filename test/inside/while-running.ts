/**
 * Runs inside a testbed: a guest that never ends (the first argument) has a device (the second) while wcvmm's command lines (the
 * third, as JSON) run; one line of JSON for each.
 */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { setImmediate } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

const [, , guest = '', device = '', commands = '[]'] = process.argv;
const cli = fileURLToPath(new URL('../../tool/cli/cli.js', import.meta.url));

const running = spawn(process.execPath, [cli, 'run', '-d', device, '--timeout', '600', guest], { stdio: 'ignore' });
const ended = once(running, 'exit');
while (!readdirSync('/sys/kernel/debug/kvm').some((name) => /^\d+-\d+$/.test(name)) && running.exitCode === null)
  await setImmediate();
for (const args of JSON.parse(commands) as readonly (readonly string[])[]) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [cli, ...args], { encoding: 'utf8' });
  process.stdout.write(`${JSON.stringify({ name: args.join(' '), found: { code: status, stdout, stderr } })}\n`);
}
running.kill();
await ended;
