/** `wcvmm verify --guest linux` on this machine. */
import { WcvmmError } from '../../../common/errors.ts';
import { interruptible } from '../../../common/interrupt.ts';
import { progressOn } from '../../../common/progress.ts';
import { writerTo } from '../../../common/streams.ts';
import { requireArchitecture } from '../../../vmm/kvm/arch/index.ts';
import type { Port } from '../../../vmm/sys/port.ts';
import type { Report } from '../../report/report.ts';
import { loadKernel, loadProgram } from '../../verify/linux/program.ts';
import { verifyLinux } from '../../verify/linux/verify.ts';
import { parseOverride } from '../../verify/override.ts';
import { windowChoice } from './options.ts';
import type { ReportCommand, ReportOptions } from './report-options.ts';

export async function verifyByLinux(
  port: Port,
  command: ReportCommand,
  options: ReportOptions,
): Promise<{ readonly report: Report }> {
  if (command !== 'verify')
    throw new WcvmmError('E_USAGE', `--guest linux is for wcvmm verify; ${command} has bare-metal guests only.`);
  const progress = progressOn(process.stderr);
  const arch = requireArchitecture();
  const [kernel, program] = [await loadKernel(arch.name, options.kernel), await loadProgram(arch.name)];
  const report = await interruptible((signal) =>
    verifyLinux(port, arch, {
      command,
      choice: windowChoice(options),
      kernel,
      program,
      timeoutMs: options.timeout * 1000,
      allowWrites: options.allowWrites === true,
      whole: options.whole === true,
      overrides: (options.predict ?? []).map(parseOverride),
      onPhase: (what) => progress.phase(what),
      onProgress: (done, total) => progress.update(`${done} of ${total}`),
      ...(options.guestConsole === true && { onConsole: writerTo(process.stderr) }),
      signal,
      asked: process.argv.slice(2),
    }),
  ).finally(() => progress.done());
  return { report };
}
