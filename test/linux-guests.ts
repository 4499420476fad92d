/** Where Linux guests are tested end to end, and whether now. */
const variable = 'WCVMM_TEST_LINUX';

export const isWanted = process.env[variable] === '1';

/** For a test's name. */
export const why = isWanted ? '' : ` (x86 is skipped: its guests do not always come up yet; ${variable}=1 runs them)`;

interface Instance {
  readonly arch: 'arm64' | 'x86-amd';
  /** Of its kernel. */
  readonly kernelArch: 'arm64' | 'x86';
}

const ARM64: Instance = { arch: 'arm64', kernelArch: 'arm64' };
const X86: Instance = { arch: 'x86-amd', kernelArch: 'x86' };

/** A skipped `describe` would still boot its instance. */
export const INSTANCES: readonly Instance[] = isWanted ? [ARM64, X86] : [ARM64];
