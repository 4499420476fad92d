/** Where Linux guests are tested end to end, and whether now. */
const variable = 'WCVMM_TEST_LINUX';

export const isWanted = process.env[variable] === '1';

/** For a test's name. */
export const why = isWanted
  ? ''
  : ` (skipped: x86 guests with several CPUs do not always come up yet; ${variable}=1 runs them)`;

/** Instance, and its kernel's architecture; none where they are not wanted, since a skipped `describe` would still boot them. */
export const MACHINES: readonly (readonly ['arm64' | 'x86-amd', 'arm64' | 'x86'])[] = isWanted
  ? [
      ['arm64', 'arm64'],
      ['x86-amd', 'x86'],
    ]
  : [];
