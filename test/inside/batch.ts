/**
 * Runs inside a testbed: many wcvmm command lines in one boot; one line of JSON for each. Its argument is JSON: for each the
 * arguments, or those and what is typed, or what a shell does, once standard output has said something.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { BatchCommand } from '../support.ts';

const cli = fileURLToPath(new URL('../../tool/cli/cli.js', import.meta.url));
const commands = JSON.parse(process.argv[2] ?? '[]') as readonly BatchCommand[];

for (const command of commands) {
  const [args, after] = 'args' in command ? [command.args, command.after] : [command, null];
  const child = spawn(process.execPath, [cli, ...args]);
  if (after === null) child.stdin.end();
  let [stdout, stderr, isDone] = ['', '', false];
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
    if (after === null || isDone || !stdout.includes(after)) return;
    isDone = true;
    if ('shell' in command) spawn('sh', ['-c', command.shell], { stdio: 'ignore' });
    else if ('input' in command) child.stdin.end(command.input);
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  const [code] = (await once(child, 'close')) as [number | null];
  process.stdout.write(`${JSON.stringify({ name: args.join(' '), found: { code, stdout, stderr } })}\n`);
}
