import { runInTestbed } from '../testbed/index.ts';
import type { TestbedRequest } from '../testbed/index.ts';

/** Arguments of wcvmm, or those and what is typed, or what a shell does, once standard output has said `after`. */
export type BatchCommand =
  | readonly string[]
  | ({ readonly args: readonly string[]; readonly after: string } & (
      { readonly input: string } | { readonly shell: string }
    ));

export interface Finished {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a command in a testbed, by default arm64's, and keeps what it says. */
export async function inTestbed(
  request: Omit<TestbedRequest, 'arch' | 'stdout' | 'stderr'> &
    Partial<Pick<TestbedRequest, 'arch'>> & { readonly onStdout?: () => void },
): Promise<Finished> {
  const stdout: Uint8Array[] = [];
  const stderr: Uint8Array[] = [];
  const code = await runInTestbed({
    arch: 'arm64',
    ...request,
    stdout: (chunk) => {
      stdout.push(chunk);
      request.onStdout?.();
    },
    stderr: (chunk) => void stderr.push(chunk),
  });
  return { code, stdout: Buffer.concat(stdout).toString(), stderr: Buffer.concat(stderr).toString() };
}

/** What a script of test/inside says, by name. */
export function findings(stdout: string): ReadonlyMap<string, unknown> {
  return new Map(
    stdout
      .split('\n')
      .filter((line) => line.startsWith('{'))
      .map((line) => JSON.parse(line) as { name: string; found: unknown })
      .map(({ name, found }) => [name, found]),
  );
}

/** Runs compiled TypeScript of test/inside in a testbed. */
export function insideScript(
  name: string,
  args: readonly string[],
  request: Omit<Parameters<typeof inTestbed>[0], 'run'> = {},
): Promise<Finished> {
  return inTestbed({
    ...request,
    run: { kind: 'program', args: ['node', `/wcvmm/dist/test/inside/${name}.js`, ...args] },
  });
}

/** Many wcvmm command lines in one boot, which is one for Linux guests where one of them boots such a guest; results in their order. */
export async function inOneBoot(
  commands: readonly BatchCommand[],
  request: Omit<Parameters<typeof inTestbed>[0], 'run' | 'linuxGuests'> = {},
): Promise<readonly Finished[]> {
  const linuxGuests = commands.some((command) => ('args' in command ? command.args : command).includes('--kernel'));
  const { stdout, stderr } = await insideScript('batch', [JSON.stringify(commands)], { ...request, linuxGuests });
  const found = [...findings(stdout).values()] as readonly Finished[];
  if (found.length !== commands.length)
    throw new Error(`${found.length} of ${commands.length} commands ended:\n${stdout}\n${stderr}`);
  return found;
}
