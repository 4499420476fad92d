/** `wcvmm verify --host`: how this machine itself maps BARs, without a guest. */
import { basename, dirname, resolve } from 'node:path';
import type { Command } from 'commander';
import { WcvmmError } from '../../../common/errors.ts';
import { standardOutput } from '../../../common/output.ts';
import { styleOf } from '../../../common/terminal.ts';
import { hostArchitecture } from '../../../vmm/kvm/arch/index.ts';
import { libcPort } from '../../../vmm/sys/libc.ts';
import type { Arch } from '../../../memattr/index.ts';
import { showJson } from './json.ts';
import type { ReportOptions } from './report-options.ts';

export interface VerifyOptions extends ReportOptions {
  readonly host?: boolean;
  readonly bar?: number;
}

/** What goes with --host; every other option of verify is about guests. */
const WITH_HOST = new Set(['host', 'bar', 'device', 'json', 'testbed', 'stock', 'cpu', 'debug']);

/** Returns the exit code. Throws E_USAGE for options that have no meaning with --host. */
export async function verifyHost(options: VerifyOptions, command: Command): Promise<number> {
  const other = command.options.find(
    (option) =>
      command.getOptionValueSource(option.attributeName()) === 'cli' && !WITH_HOST.has(option.attributeName()),
  );
  if (other !== undefined)
    throw new WcvmmError(
      'E_USAGE',
      `${other.long} is about guests, and verify --host runs none; leave it or --host out.`,
    );
  return options.testbed === undefined ? here(options) : inside(options, options.testbed);
}

async function here({ device, bar, json }: VerifyOptions): Promise<number> {
  const [{ checkHost }, { exitCodeOfHost }, { renderHost }] = await Promise.all([
    import('../../host/mappings/host-check.ts'),
    import('../../host/mappings/result.ts'),
    import('../../host/mappings/text.ts'),
  ]);
  const request = { device: device ?? null, bar: bar ?? null, asked: process.argv.slice(2) };
  const report = checkHost(libcPort, requireHostArchitecture(), request);
  if (!(await showJson(json, report))) standardOutput.write(renderHost(report, styleOf(standardOutput, process.env)));
  return exitCodeOfHost(report);
}

export function requireHostArchitecture(): Arch {
  const arch = hostArchitecture();
  if (arch !== null) return arch.name;
  throw new WcvmmError(
    'E_USAGE',
    `wcvmm knows nothing of memory types on ${process.arch}; expected an arm64 or x86-64 machine.`,
  );
}

async function inside({ device, bar, json, stock, cpu }: VerifyOptions, testbed: string): Promise<number> {
  const { runInTestbed } = await import('../../../testbed/index.ts');
  const file = json === undefined || json === '-' ? json : basename(json);
  return runInTestbed({
    arch: testbed,
    kernel: stock === true ? 'stock' : 'patched',
    run: {
      kind: 'wcvmm',
      args: [
        'verify',
        '--host',
        ...(device === undefined ? [] : ['--device', device]),
        ...(bar === undefined ? [] : ['--bar', String(bar)]),
        ...(file === undefined ? [] : ['--json', file]),
      ],
    },
    ...(json !== undefined && json !== '-' && { outputDir: dirname(resolve(json)) }),
    ...(cpu !== undefined && { cpu }),
  });
}
