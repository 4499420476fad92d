import type { Patch } from '../../../testbed/kernel/series.ts';
import { touchedFiles } from '../../../testbed/kernel/series.ts';

/** An architecture that the check compiles for. */
export interface CheckArch {
  /** `ARCH=` and `CROSS_COMPILE=` of the kernel's Makefile. */
  readonly arch: string;
  readonly crossCompile: string;
  /** Its folder below arch/. */
  readonly folder: string;
  /** What is compiled whole, because it uses headers that the series changes. */
  readonly folders: readonly string[];
  /** Whether files elsewhere that the series itself changes are compiled too. */
  readonly files: boolean;
}

const everywhere = ['drivers/vfio/', 'samples/vfio-mdev/'];

export const arm64: CheckArch = {
  arch: 'arm64',
  crossCompile: 'aarch64-linux-gnu-',
  folder: 'arm64',
  folders: [...everywhere, 'arch/arm64/kvm/'],
  files: true,
};
export const x86: CheckArch = {
  arch: 'x86',
  crossCompile: 'x86_64-linux-gnu-',
  folder: 'x86',
  folders: [...everywhere, 'arch/x86/kvm/', 'arch/x86/mm/'],
  files: true,
};
/** For types that are too small there: offsets, masks, page numbers. KVM is not for it. */
export const i386: CheckArch = {
  arch: 'i386',
  crossCompile: 'x86_64-linux-gnu-',
  folder: 'x86',
  folders: ['drivers/vfio/', 'mm/', 'arch/x86/mm/'],
  files: false,
};

/** The C files of `patches` that an architecture compiles, sorted. */
export function sourceFiles(patches: readonly Patch[], { folder }: CheckArch): string[] {
  const files = patches
    .flatMap(({ text }) => touchedFiles(text))
    .filter((file) => file.endsWith('.c') && !file.startsWith('tools/'));
  return [...new Set(files)].filter((file) => otherArch(file, folder) === null).toSorted();
}

/** The files with comments that kernel-doc reads: C sources and headers, whatever the architecture. */
export function documentedFiles(patches: readonly Patch[]): string[] {
  const files = patches
    .flatMap(({ text }) => touchedFiles(text))
    .filter((file) => /\.[ch]$/.test(file) && !file.startsWith('tools/'));
  return [...new Set(files)].toSorted();
}

function otherArch(file: string, folder: string): string | null {
  const [top, arch] = file.split('/');
  if (top === 'arch' && arch !== folder) return arch ?? '';
  // Compiled by way of x86's KVM.
  return folder !== 'x86' && file.startsWith('drivers/gpu/drm/i915/gvt/') ? 'x86' : null;
}

const areas: readonly { touched: RegExp; folders: RegExp; files: readonly string[] }[] = [
  {
    touched: /^(?:drivers\/vfio\/|samples\/vfio-mdev\/|include\/(?:uapi\/)?linux\/vfio)/,
    folders: /vfio/,
    files: ['drivers/gpu/drm/i915/gvt/kvmgt.c'],
  },
  { touched: /\bkvm/, folders: /kvm/, files: [] },
  { touched: /^arch\/x86\/mm\//, folders: /^arch\/x86\/mm/, files: [] },
];

/**
 * What is compiled for one patch of the series: the files that it changes, and the folders that use the headers of
 * what it belongs to. Headers of memory management are used by all the kernel; for them alone, the files must do,
 * and the last patch, for which everything is compiled.
 */
export function patchTargets(patch: Patch, arch: CheckArch): string[] {
  const touched = touchedFiles(patch.text);
  const concerned = areas.filter((area) => touched.some((file) => area.touched.test(file)));
  const folders = arch.folders.filter((folder) => concerned.some((area) => area.folders.test(folder)));
  const files = [
    ...sourceFiles([patch], arch),
    ...concerned.flatMap((area) => area.files).filter((file) => otherArch(file, arch.folder) === null),
  ];
  return makeTargets([...new Set(files)], { ...arch, folders });
}

/** make's targets: the folders, and every file that lies in none of them. */
export function makeTargets(files: readonly string[], { folders, files: alone }: CheckArch): string[] {
  if (!alone) return [...folders];
  const outside = files.filter(
    (file) => !folders.some((folder) => file.startsWith(folder)) && !file.startsWith('virt/kvm/'),
  );
  return [...folders, ...outside.map((file) => file.replace(/\.c$/, '.o'))];
}

/** make's targets for sparse: `files` alone, and KVM whole, because no single target of make is in virt/kvm. */
export function sparseTargets(files: readonly string[], { folders }: CheckArch): string[] {
  const kvm = folders.filter((folder) => folder.endsWith('/kvm/'));
  const outside = files.filter(
    (file) => !file.startsWith('virt/kvm/') && !kvm.some((folder) => file.startsWith(folder)),
  );
  return [...kvm, ...outside.map((file) => file.replace(/\.c$/, '.o'))];
}
