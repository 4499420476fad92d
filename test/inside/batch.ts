/**
 * Runs inside a testbed: many wcvmm command lines in one boot; one line of JSON for each. Its argument is JSON: for each the
 * arguments, or those and what is typed once standard output has said something.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

type BatchCommand =
  readonly string[] | { readonly args: readonly string[]; readonly after: string; readonly input: string };

const cli = fileURLToPath(new URL('../../tool/cli/cli.js', import.meta.url));
const commands = JSON.parse(process.argv[2] ?? '[]') as readonly BatchCommand[];

for (const command of commands) {
  const { args, after, input } = 'args' in command ? command : { args: command, after: null, input: '' };
  const child = spawn(process.execPath, [cli, ...args]);
  if (after === null) child.stdin.end();
  let [stdout, stderr, isTyped] = ['', '', false];
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
    if (after === null || isTyped || !stdout.includes(after)) return;
    isTyped = true;
    child.stdin.end(input);
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  const [code] = (await once(child, 'close')) as [number | null];
  process.stdout.write(`${JSON.stringify({ name: args.join(' '), found: { code, stdout, stderr } })}\n`);
}
