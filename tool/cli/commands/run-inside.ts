/** verify, compare and bench with --testbed: the same command runs in an emulated instance, and its report is shown here. */
import { rm, stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { temporaryFolder } from '../../../common/temporary.ts';
import { EXIT, WcvmmError } from '../../../common/errors.ts';
import { runInTestbed, testbedDevice, testbedKernel } from '../../../testbed/index.ts';
import type { Report } from '../../report/report.ts';
import { LINUX_GUEST } from './report-options.ts';
import type { ReportCommand, ReportOptions } from './report-options.ts';

const REPORT = 'report.json';
/** Each guest has a limit of its own; on a slow emulator and a busy machine all of them take minutes. */
const BENCH_SECONDS = 900;
/** What an instance takes beside a Linux guest. */
const INSTANCE_SECONDS = 60;

/** `report` is null where the command could not run inside: it has said why, and `code` is its exit code. */
export async function runInside(
  command: ReportCommand,
  options: ReportOptions,
): Promise<{ readonly report: Report } | { readonly report: null; readonly code: number }> {
  const { guest, kernel, stock, cpu, testbed = '' } = options;
  const isLinux = guest === LINUX_GUEST;
  const guestKernel = isLinux ? (kernel ?? (await testbedKernel(testbed))) : undefined;
  const files = guestKernel === undefined ? (guest === undefined ? [] : [guest]) : [guestKernel];
  const outputDir = await temporaryFolder('report');
  try {
    const code = await runInTestbed({
      arch: testbed,
      kernel: stock === true ? 'stock' : 'patched',
      run: {
        kind: 'wcvmm',
        // No text is made of it there, and no file replaced: that took a third of the time of verify's JavaScript.
        args: [command, ...argumentsInside(options, testbedDevice(testbed), guestKernel), '--json', '-'],
        stdoutTo: REPORT,
      },
      inputs: files,
      outputDir,
      ...(cpu !== undefined && { cpu }),
      ...(command === 'bench' && { timeout: BENCH_SECONDS }),
      ...(isLinux && { timeout: options.timeout + INSTANCE_SECONDS, linuxGuests: true }),
      stdout: () => {},
    });
    const size = await stat(join(outputDir, REPORT)).then(
      (file) => file.size,
      () => 0,
    );
    if (size === 0) {
      if (code === EXIT.failed) return { report: null, code };
      throw new WcvmmError(
        'E_TESTBED',
        `${command} ended with code ${code} inside the emulated instance and wrote no report. Run it again; "wcvmm testbed shell --arch ${testbed}" opens a shell in the instance.`,
      );
    }
    const { readReport } = await import('../../report/read.ts');
    return { report: await readReport(join(outputDir, REPORT)) };
  } finally {
    await rm(outputDir, { recursive: true, force: true });
  }
}

function argumentsInside(
  {
    device,
    source,
    iommu,
    map,
    enforce,
    timeout,
    guest,
    allowWrites,
    whole,
    sandbox,
    predict = [],
    runs,
    guestConsole,
  }: ReportOptions,
  defaultDevice: string,
  kernel: string | undefined,
): readonly string[] {
  const inside = source === 'memory' ? undefined : (device ?? defaultDevice);
  return [
    ...(inside === undefined ? [] : ['--device', inside]),
    '--source',
    source,
    '--iommu',
    iommu,
    '--timeout',
    String(timeout),
    ...map.flatMap((text) => ['--map', text]),
    ...predict.flatMap((text) => ['--predict', text]),
    ...(runs === undefined ? [] : ['--runs', String(runs)]),
    ...(guest === undefined ? [] : ['--guest', guest === LINUX_GUEST ? guest : basename(guest)]),
    ...(kernel === undefined ? [] : ['--kernel', basename(kernel)]),
    ...(enforce === true ? ['--enforce'] : []),
    ...(allowWrites === true ? ['--allow-writes'] : []),
    ...(whole === true ? ['--whole'] : []),
    ...(sandbox ? [] : ['--no-sandbox']),
    ...(guestConsole === true ? ['--guest-console'] : []),
  ];
}
