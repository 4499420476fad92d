/** Runs inside a testbed: many wcvmm command lines (the arguments, as JSON) in one boot; one line of JSON for each. */
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const cli = fileURLToPath(new URL('../../tool/cli/cli.js', import.meta.url));
const commands = JSON.parse(process.argv[2] ?? '[]') as readonly (readonly string[])[];

for (const args of commands) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [cli, ...args], { encoding: 'utf8' });
  process.stdout.write(`${JSON.stringify({ name: args.join(' '), found: { code: status, stdout, stderr } })}\n`);
}
