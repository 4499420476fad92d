import { Command } from 'commander';
import { EXIT } from '../../../common/errors.ts';
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

Each line is ok, missing (with what to do), unknown, or a note. A device that is bound to vfio-pci is opened
and closed again, to ask the kernel for its cookie feature; nothing else is touched.

Exit code: 0 when "wcvmm verify" with the same --device and --source would run, 1 when it would not, 2 when the
question could not be answered.`;

export function doctorCommand(): Command {
  return addDeviceOptions(
    new Command('doctor').description('Say what this machine can do, and how to mend what is missing'),
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
        process.stdout.write(renderDiagnosis(diagnosis, styleOf(process.stdout, process.env)));
      }
      process.exitCode = diagnosis.verify.runs ? EXIT.match : EXIT.mismatch;
    });
}
