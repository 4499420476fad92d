/** `wcvmm compare --expect`: reports of a fleet against what each kind of instance must show. */
import { standardOutput } from '../../../common/output.ts';
import { EXIT } from '../../../common/errors.ts';
import { interruptible } from '../../../common/interrupt.ts';
import { progressOn } from '../../../common/progress.ts';
import { styleOf } from '../../../common/terminal.ts';
import { checkOutputs, writeTexts } from './outputs.ts';
import type { OutputOptions } from './outputs.ts';

export interface ExpectOptions extends OutputOptions {
  readonly expect: string;
  readonly hosts?: string;
  readonly maxAge?: string;
}

export async function compareExpected(paths: readonly string[], options: ExpectOptions): Promise<void> {
  await checkOutputs(options);
  const [
    { readProfile },
    { readHosts },
    { rulesOf },
    { compareFleet },
    { FLEET_FORMATS },
    { isAsExpected, renderFleet },
  ] = await Promise.all([
    import('../../fleet/profile.ts'),
    import('../../fleet/hosts.ts'),
    import('../../fleet/judge.ts'),
    import('../../fleet/compare.ts'),
    import('../../fleet/formats.ts'),
    import('../../fleet/text.ts'),
  ]);
  const rules = rulesOf(await readProfile(options.expect), options.maxAge, Date.now());
  const hosts = options.hosts === undefined ? null : await readHosts(options.hosts);
  const progress = progressOn(process.stderr);
  const fleet = await interruptible(async (signal) => {
    progress.phase('reading reports');
    return compareFleet({ paths, rules, hosts, signal, onProgress: (done) => progress.update(`${done}`) });
  }).finally(() => progress.done());
  await writeTexts(
    options,
    (format) => FLEET_FORMATS[format](fleet),
    async () => renderFleet(fleet, styleOf(standardOutput, process.env)),
  );
  process.exitCode = isAsExpected(fleet) ? EXIT.match : EXIT.mismatch;
}
