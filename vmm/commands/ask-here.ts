/** Asks this machine's guests. */
import { interruptible } from '../../testbed/interrupt.ts';
import { progressOn } from '../../testbed/progress.ts';
import { loadGuest } from '../guest/image.ts';
import { requireArchitecture } from '../kvm/arch/arch.ts';
import type { Report } from '../report/report.ts';
import { libcPort } from '../sys/libc.ts';
import { parseOverride } from '../verify/predict.ts';
import { verify } from '../verify/verify.ts';
import { windowChoice } from './options.ts';
import type { Kind, ReportOptions } from './report-options.ts';

export async function askHere(kind: Kind, options: ReportOptions): Promise<{ readonly report: Report }> {
  const progress = progressOn(process.stderr);
  const arch = requireArchitecture();
  const image = await loadGuest(arch.name, options.guest);
  const overrides = options.predict.map(parseOverride);
  const report = await interruptible((signal) =>
    verify(libcPort, arch, {
      command: kind,
      choice: windowChoice(options),
      image,
      timeoutMs: options.timeout * 1000,
      allowWrites: options.allowWrites === true,
      overrides,
      onPhase: (what) => progress.phase(what),
      onProgress: (done, total) => progress.update(`${done} of ${total} answers`),
      ...(options.guestConsole === true && { onConsole: (text: string) => process.stderr.write(text) }),
      signal,
    }),
  ).finally(() => progress.done());
  return { report };
}
