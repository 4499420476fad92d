import { WcvmmError } from '../../../common/errors.ts';
import { parseFragment } from '../../../testbed/kernel/config.ts';
import type { Need, PackageTarget } from './targets.ts';

/** One option that is set in another way than the instance's own kernel has it. */
export interface Change {
  option: string;
  from: string;
  to: string;
  why: string;
}

/** Files of whoever built the instance's kernel, which this machine does not have, and what goes without them. */
const foreignFiles: Readonly<Record<string, string>> = {
  CONFIG_SYSTEM_TRUSTED_KEYS: '""',
  CONFIG_SYSTEM_REVOCATION_KEYS: '""',
  CONFIG_EFI_SBAT_FILE: '""',
  // kbuild makes a key of this name itself, for this build alone.
  CONFIG_MODULE_SIG_KEY: '"certs/signing_key.pem"',
};

const suffix = '-wcvmm';

const largeBuild = 'debug information makes the build several times as large';

/**
 * The instance's configuration with what wcvmm needs, without debug information and without the files of whoever built it, and
 * what that changes. Throws E_USAGE for a text that is no configuration, or one of another architecture.
 */
export function adaptConfig(
  text: string,
  target: PackageTarget,
  name: string,
): { text: string; changes: readonly Change[] } {
  const now = parseFragment(text);
  const value = (option: string): string => now.get(option) ?? 'n';
  if (value(target.mark) !== 'y')
    throw new WcvmmError(
      'E_USAGE',
      `${name} is not the configuration of an ${target.arch} kernel: it has no ${target.mark}=y. Give another file with --config, or its architecture with --arch.`,
    );

  const changes = new Map<string, Change>();
  const set = (option: string, to: string, why: string): void => {
    if (value(option) !== to) changes.set(option, { option, from: value(option), to, why });
  };
  const groups = target.oneOf.filter(
    (group) => !Object.entries(group).some(([option, need]) => suffices(value(option), need)),
  );
  for (const [option, need] of [target.needs, ...groups].flatMap((needs) => Object.entries(needs))) {
    // What the kernel selects by itself has no line to change.
    if (option === 'CONFIG_EVENT_TRACING') {
      if (value(option) !== 'y') set('CONFIG_ENABLE_DEFAULT_TRACERS', 'y', 'wcvmm needs it');
    } else if (!suffices(value(option), need))
      set(option, need === 'm' && value('CONFIG_MODULES') !== 'y' ? 'y' : need, 'wcvmm needs it');
  }
  const debugInfo = [...now]
    .filter(([option, is]) => /^CONFIG_DEBUG_INFO_(?:DWARF\w*|BTF|SPLIT|REDUCED)$/.test(option) && is !== 'n')
    .map(([option]) => option);
  for (const option of debugInfo) set(option, 'n', largeBuild);
  if (debugInfo.length > 0) set('CONFIG_DEBUG_INFO_NONE', 'y', largeBuild);
  for (const [option, to] of Object.entries(foreignFiles))
    if (!['n', '""'].includes(value(option))) set(option, to, 'a file of whoever built that kernel');
  const localVersion = value('CONFIG_LOCALVERSION').replaceAll('"', '').replace(/^n$/, '');
  if (!localVersion.endsWith(suffix))
    set('CONFIG_LOCALVERSION', `"${localVersion}${suffix}"`, 'so that it stands beside the old kernel');
  set('CONFIG_LOCALVERSION_AUTO', 'n', 'the source has no history');

  const kept = text.split('\n').filter((line) => !changes.has(/^(?:# )?(CONFIG_\w+)[= ]/.exec(line)?.[1] ?? ''));
  const added = [...changes.values()].map(({ option, to }) =>
    to === 'n' ? `# ${option} is not set` : `${option}=${to}`,
  );
  return { text: `${[...kept, ...added].join('\n')}\n`, changes: [...changes.values()] };
}

/** What wcvmm needs and the kernel's own rules did not let stand in `dotConfig`, one "CONFIG_X is n" each. */
export function unmetNeeds(dotConfig: string, target: PackageTarget): string[] {
  const got = parseFragment(dotConfig);
  const unmet = (needs: Readonly<Record<string, Need>>): string[] =>
    Object.entries(needs).flatMap(([option, need]) => {
      const value = got.get(option) ?? 'n';
      return suffices(value, need) ? [] : [`${option} is ${value}`];
    });
  const groups = target.oneOf.filter((group) => unmet(group).length === Object.keys(group).length);
  return [target.needs, ...groups].flatMap(unmet);
}

function suffices(value: string, need: Need): boolean {
  return value === 'y' || value === need;
}
