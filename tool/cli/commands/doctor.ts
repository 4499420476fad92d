import { Command } from 'commander';
import { EXIT } from '../../../common/errors.ts';
import { standardOutput } from '../../../common/output.ts';
import { libcPort } from '../../../vmm/sys/libc.ts';
import { addDeviceOptions, deviceChoice } from './options.ts';
import type { DeviceOptions } from './options.ts';
import { showJson } from './json.ts';

interface DoctorOptions extends DeviceOptions {
  readonly json?: string | true;
}

const EXAMPLES = `
Examples:
  $ wcvmm doctor
  $ wcvmm doctor -d 0000:01:00.0 --source sysfs
  $ wcvmm doctor --json | jq .verify

Each line is ok, missing (with how to fix it), unknown, or a note. Only with --device is a device opened, to ask the
kernel for mmap cookies: it must be bound to vfio-pci, and the kernel resets it. Nothing else is changed.

Exit code: 0 when "wcvmm verify" with the same --device and --source would run, 1 when it would not, 2 when that
could not be found out.`;

export function doctorCommand(): Command {
  return addDeviceOptions(
    new Command('doctor').description('Check what this machine supports and how to fix what is missing'),
  )
    .option('--json [file]', 'write the findings as JSON, to standard output or a file')
    .addHelpText('after', EXAMPLES)
    .action(async (options: DoctorOptions) => {
      const { diagnose } = await import('../../host/doctor/doctor.ts');
      const diagnosis = diagnose(libcPort, deviceChoice(options));
      if (!(await showJson(options.json, diagnosis))) {
        const [{ renderDiagnosis }, { styleOf }] = await Promise.all([
          import('../../host/doctor/text.ts'),
          import('../../../common/terminal.ts'),
        ]);
        standardOutput.write(renderDiagnosis(diagnosis, styleOf(standardOutput, process.env)));
      }
      process.exitCode = diagnosis.verify.runs ? EXIT.match : EXIT.mismatch;
    });
}
