/** Asks this machine's guests. */
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { interruptible } from '../../testbed/interrupt.ts';
import { progressOn } from '../../testbed/progress.ts';
import { WcvmmError } from '../errors.ts';
import { parseElf } from '../guest/elf.ts';
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
  const image = parseElf(await readGuest(arch.name, options.guest), arch.name);
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

/** The bare guest that `make -C arm64-tests` or `make -C x86-tests` builds, seen from dist/vmm/commands. */
function builtGuest(arch: string): string {
  return fileURLToPath(new URL(`../../../${arch}-tests/build/guest.elf`, import.meta.url));
}

async function readGuest(arch: string, path: string = builtGuest(arch)): Promise<Uint8Array> {
  try {
    return await readFile(path);
  } catch (error) {
    throw new WcvmmError('E_GUEST_IMAGE', `the guest image ${path} cannot be read; expected an ELF executable. "make -C ${arch}-tests" builds the project's own.`, { cause: error });
  }
}
