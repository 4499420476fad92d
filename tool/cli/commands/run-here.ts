/** verify, compare and bench on this machine. */
import { interruptible } from '../../../common/interrupt.ts';
import { standardError } from '../../../common/output.ts';
import { progressOn } from '../../../common/progress.ts';
import type { BenchRequest } from '../../bench/bench.ts';
import { loadGuest } from '../../verify/guest/image.ts';
import { requireArchitecture } from '../../../vmm/kvm/arch/index.ts';
import type { KvmArchitecture } from '../../../vmm/kvm/arch/arch.ts';
import type { Report } from '../../report/report.ts';
import type { Port } from '../../../vmm/sys/port.ts';
import { parseOverride } from '../../verify/override.ts';
import { verify } from '../../verify/verify.ts';
import { windowChoice } from './options.ts';
import { LINUX_GUEST } from './report-options.ts';
import type { ReportCommand, ReportOptions } from './report-options.ts';

/** `port` is a sandbox's: see openSandbox. */
export async function runHere(
  port: Port,
  command: ReportCommand,
  options: ReportOptions,
): Promise<{ readonly report: Report }> {
  const progress = progressOn(standardError);
  if (options.guest === LINUX_GUEST) return (await import('./verify-linux.ts')).verifyByLinux(port, command, options);
  const arch = requireArchitecture();
  const image = await loadGuest(arch.name, options.guest);
  const report = await interruptible((signal) => {
    const request = {
      choice: windowChoice(options),
      image,
      timeoutMs: options.timeout * 1000,
      allowWrites: options.allowWrites === true,
      onPhase: (what: string) => progress.phase(what),
      onProgress: (done: number, total: number) => progress.update(`${done} of ${total}`),
      ...(options.guestConsole === true && { onConsole: (bytes: Uint8Array) => standardError.writeBytes(bytes) }),
      signal,
      asked: process.argv.slice(2),
    };
    return command === 'bench'
      ? measure(port, arch, request, options)
      : verify(port, arch, {
          ...request,
          command,
          whole: options.whole === true,
          overrides: (options.predict ?? []).map(parseOverride),
        });
  }).finally(() => progress.done());
  return { report };
}

async function measure(
  port: Port,
  arch: KvmArchitecture,
  request: Omit<BenchRequest, 'runs'>,
  { runs = 9 }: ReportOptions,
): Promise<Report> {
  const { bench } = await import('../../bench/bench.ts');
  return bench(port, arch, { ...request, runs });
}
