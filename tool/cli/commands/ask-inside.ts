/** Asks the guests of an emulated instance: the same command runs inside, and only its report comes out, to be told here. */
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { EXIT, WcvmmError } from '../../../common/errors.ts';
import { runInTestbed, testbedDevice } from '../../../testbed/index.ts';
import type { Report } from '../../report/report.ts';
import type { Kind, ReportOptions } from './report-options.ts';

const REPORT = 'report.json';
/** Each guest of it has its own limit; all of them on an emulator of the slow kind, on a busy machine, take minutes. */
const BENCH_SECONDS = 900;

/** No report where the command inside could not run: it has said why, and `code` is its exit code. */
export async function askInside(
  kind: Kind,
  options: ReportOptions,
): Promise<{ readonly report: Report } | { readonly report: null; readonly code: number }> {
  const { guest, stock, cpu, testbed = '' } = options;
  const outputDir = await mkdtemp(join(tmpdir(), 'wcvmm-report-'));
  try {
    const code = await runInTestbed({
      arch: testbed,
      kernel: stock === true ? 'stock' : 'patched',
      run: { kind: 'wcvmm', args: [kind, ...argumentsInside(options, testbedDevice(testbed)), '--json', REPORT] },
      inputs: guest === undefined ? [] : [guest],
      outputDir,
      ...(cpu !== undefined && { cpu }),
      ...(kind === 'bench' && { timeout: BENCH_SECONDS }),
      stdout: () => {},
    });
    if (!(await readdir(outputDir)).includes(REPORT)) {
      if (code === EXIT.failed) return { report: null, code };
      throw new WcvmmError(
        'E_TESTBED',
        `the ${kind} inside of the instance ended with code ${code} and its report did not come out; expected ${REPORT}. Run it again; "wcvmm testbed shell --arch ${testbed}" shows the instance from inside.`,
      );
    }
    const { readReport } = await import('../../report/read.ts');
    return { report: await readReport(join(outputDir, REPORT)) };
  } finally {
    await rm(outputDir, { recursive: true, force: true });
  }
}

function argumentsInside(
  { device, source, iommu, map, enforce, timeout, guest, allowWrites, predict = [], runs, guestConsole }: ReportOptions,
  usual: string,
): readonly string[] {
  const inside = source === 'memory' ? undefined : (device ?? usual);
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
    ...(guest === undefined ? [] : ['--guest', basename(guest)]),
    ...(enforce === true ? ['--enforce'] : []),
    ...(allowWrites === true ? ['--allow-writes'] : []),
    ...(guestConsole === true ? ['--guest-console'] : []),
  ];
}
