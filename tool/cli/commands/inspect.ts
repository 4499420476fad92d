import { standardOutput } from '../../../common/output.ts';
import { Command, InvalidArgumentError } from 'commander';
import { libcPort } from '../../../vmm/sys/libc.ts';
import { showJson } from './json.ts';

interface InspectOptions {
  readonly pid?: number;
  readonly json?: string | true;
}

const EXAMPLES = `
Examples:
  $ wcvmm inspect
  $ wcvmm inspect --pid 4711
  $ wcvmm inspect --json | jq '.mappings[] | select(.types == ["WC"])'

For each mapping of a BAR: which bytes, whose it is (a process by sysfs, VFIO or /dev/mem; a driver by ioremap), and its memory type.
On x86 the type is what the kernel has on record for exactly those bytes. On arm64 nothing shows it: what the mapped file gives is
said, as assumed. Nothing is opened, mapped or loaded. Without root only one's own processes are seen.

Exit codes: 0 the list is made, with what is not known said below it, 2 an error.`;

export function inspectCommand(): Command {
  return new Command('inspect')
    .description('Show which BARs are mapped right now, by which process or driver, and as what')
    .option('--pid <number>', 'only the mappings of this process', processNumber)
    .option('--json [file]', 'write the list as JSON, to standard output or a file')
    .addHelpText('after', EXAMPLES)
    .action(async ({ pid, json }: InspectOptions) => {
      const [{ inspect }, { renderInspection }, { requireHostArchitecture }, { styleOf }] = await Promise.all([
        import('../../host/mappings/inspect.ts'),
        import('../../host/mappings/inspect-text.ts'),
        import('./verify-host.ts'),
        import('../../../common/terminal.ts'),
      ]);
      const seen = inspect(libcPort, requireHostArchitecture(), { pid: pid ?? null });
      if (!(await showJson(json, seen)))
        standardOutput.write(renderInspection(seen, styleOf(standardOutput, process.env)));
    });
}

function processNumber(text: string): number {
  if (!/^[1-9]\d{0,9}$/.test(text)) throw new InvalidArgumentError('Expected the number of a process.');
  return Number(text);
}
