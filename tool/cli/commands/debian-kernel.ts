/** `--kernel debian`: Debian's kernel for cloud instances, fetched unless the cache has it. */
/** What `--kernel` takes beside a path. */
export const DEBIAN = 'debian';

/** For its own initramfs: what its /init does is behind "--". A kernel that panics reboots instead of waiting for somebody. */
const QUIET = 'quiet panic=-1';
const SHELL = `${QUIET} -- shell`;

interface Booted {
  readonly kernel?: string;
  readonly initrd?: string;
  readonly append?: readonly string[];
  readonly console?: string;
}

/**
 * The options with paths in place of `debian`; with an initrd that was given, only the kernel is Debian's. At a terminal its own
 * initramfs gives a shell. For an instance the kernel is fetched outside,
 * where there is a network.
 *
 * Throws E_GUEST_IMAGE where it cannot be fetched.
 */
export async function withDebianKernel<Options extends Booted>(options: Options, testbed?: string): Promise<Options> {
  if (options.kernel !== DEBIAN) return options;
  const { debianKernel } = await import('../../../testbed/index.ts');
  const { requireArchitecture } = await import('../../../vmm/kvm/arch/index.ts');
  const { kernel, initrd } = await debianKernel(testbed === undefined ? requireArchitecture().name : { testbed });
  if (options.initrd !== undefined) return { ...options, kernel };
  const isShell = testbed === undefined && process.stdin.isTTY && options.console === 'stdio';
  return { ...options, kernel, initrd, append: [...(options.append ?? []), isShell ? SHELL : QUIET] };
}
