/** Rights, limits, and what makes mapping large BARs fast. */
import { release } from 'node:os';
import type { Source } from '../../../memattr/index.ts';
import { formatSize } from '../../../vmm/memory/index.ts';
import type { Port } from '../../../vmm/sys/port.ts';
import { missing, note, ok, unknown } from './finding.ts';
import type { Finding } from './finding.ts';
import { attempt, readOr } from '../../../vmm/sys/attempt.ts';

/** Numbers of include/uapi/linux/capability.h, and what wcvmm uses each for. */
const CAPABILITIES = [
  ['CAP_DAC_OVERRIDE', 1, "root's files: sysfs, /dev/vfio, debugfs"],
  ['CAP_IPC_LOCK', 14, 'pinning guest RAM beyond RLIMIT_MEMLOCK'],
  ['CAP_SYS_RAWIO', 17, 'VFIO without an IOMMU'],
  ['CAP_SYS_ADMIN', 21, 'resetting a whole slot, tracing'],
] as const;

function heldCapabilities(port: Port): bigint {
  const hex = /^CapEff:\s*([0-9a-f]+)$/m.exec(readOr(port, '/proc/self/status', ''))?.[1];
  return hex === undefined ? 0n : BigInt(`0x${hex}`);
}

function has(held: bigint, bit: number): boolean {
  return ((held >> BigInt(bit)) & 1n) === 1n;
}

export function capabilities(port: Port): Finding {
  const held = heldCapabilities(port);
  const absent = CAPABILITIES.filter(([, bit]) => !has(held, bit));
  if (absent.length === 0) return ok('capabilities', 'all that wcvmm uses');
  return note('capabilities', `without ${absent.map(([name, , use]) => `${name} (${use})`).join(', ')}`, 'run as root');
}

const GUEST_RAM = 4n << 20n;
const CAP_IPC_LOCK = 14;

export function memlock(port: Port): Finding {
  const soft = /^Max locked memory\s+(\S+)/m.exec(readOr(port, '/proc/self/limits', ''))?.[1];
  if (soft === undefined) return unknown('memlock', 'RLIMIT_MEMLOCK cannot be read', null);
  const limit = soft === 'unlimited' ? soft : formatSize(BigInt(soft));
  if (has(heldCapabilities(port), CAP_IPC_LOCK))
    return ok('memlock', `RLIMIT_MEMLOCK ${limit}, lifted by CAP_IPC_LOCK`);
  if (soft === 'unlimited' || BigInt(soft) >= GUEST_RAM)
    return ok('memlock', `RLIMIT_MEMLOCK ${limit}, enough for the guest's ${formatSize(GUEST_RAM)}`);
  return missing(
    'memlock',
    `RLIMIT_MEMLOCK ${limit}, less than the ${formatSize(GUEST_RAM)} of guest RAM that "run --dma-device" pins`,
    'ulimit -l unlimited as root, or LimitMEMLOCK=infinity',
    false,
  );
}

export function hugepages(port: Port): Finding {
  const folder = '/sys/kernel/mm/hugepages';
  const sizes = attempt(() => port.list(folder)) ?? [];
  if (sizes.length === 0) return note('hugepages', 'this kernel has none (CONFIG_HUGETLBFS); wcvmm needs none');
  const free = sizes
    .toSorted()
    .map(
      (name) =>
        `${readOr(port, `${folder}/${name}/free_hugepages`, '?').trim()} free of ${formatSize(BigInt(/\d+/.exec(name)?.[0] ?? 0) << 10n)}`,
    );
  return note('hugepages', `${free.join(', ')}; wcvmm needs none`);
}

/** Huge pfnmaps let one entry map 2 MiB or 1 GiB of a BAR (Linux 6.12, arm64 and x86-64, needs transparent huge pages). */
export function hugePfnmaps(port: Port): Finding {
  const config = readOr(port, `/boot/config-${release()}`, '');
  if (/^CONFIG_ARCH_SUPPORTS_PMD_PFNMAP=y$/m.test(config))
    return ok('huge-pfnmaps', 'CONFIG_ARCH_SUPPORTS_PMD_PFNMAP: large BARs are mapped in blocks of 2 MiB and more');
  const fix = 'a kernel 6.12 or newer with CONFIG_TRANSPARENT_HUGEPAGE';
  if (config !== '' || !port.exists('/sys/kernel/mm/transparent_hugepage'))
    return missing(
      'huge-pfnmaps',
      'this kernel maps BARs page by page: an 8 GiB BAR takes two million page faults',
      fix,
      false,
    );
  // Stock's name, and that of the project's series.
  if (/ vfio_pci_mmap_(obj_)?huge_fault\b/.test(readOr(port, '/proc/kallsyms', '')))
    return ok('huge-pfnmaps', "transparent huge pages, and vfio-pci's huge fault handler");
  return unknown(
    'huge-pfnmaps',
    "vfio-pci is not loaded, or kernel symbols are hidden, so it is not known whether BARs are mapped in blocks. The report's block column shows it",
    null,
  );
}

/** Kernel lockdown (LOCKDOWN_PCI_ACCESS, LOCKDOWN_DEBUGFS) forbids even root some of what wcvmm does. */
export function lockdown(port: Port, source: Source): Finding {
  const mode = /\[(\w+)\]/.exec(readOr(port, '/sys/kernel/security/lockdown', ''))?.[1] ?? 'none';
  if (mode === 'none') return ok('lockdown', 'off');
  return missing(
    'lockdown',
    `kernel lockdown "${mode}": BARs cannot be mapped through sysfs, and debugfs is restricted`,
    'boot without Secure Boot or without lockdown=; --source cookie works with lockdown',
    source === 'sysfs',
  );
}
