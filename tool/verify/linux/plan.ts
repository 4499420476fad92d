/** What a Linux guest is asked: by which files of sysfs, and which probes make sense in a program of its. Pure. */
import type { Arch, ArchitectureModel, Platform, ProbeName, Stage1Type } from '../../../memattr/index.ts';
import type { TouchedBy } from '../../report/report.ts';
import type { Cell } from '../guest/abi.ts';
import type { GuestRecord } from '../guest/records.ts';
import type { OpenWindow } from '../../../vmm/vfio/open-windows.ts';
import { otherPages, pageChecks } from '../coverage.ts';
import { cellOf, planChecks } from '../plan.ts';
import type { PlannedCheck } from '../plan.ts';
import { freshSeed } from '../run-checks.ts';
import type { Observation } from '../run-checks.ts';
import { LINUX_ABI } from './abi.ts';

/** As arm64-tests/program/probes.c and x86-tests/program/probes.c; stage1-self-check is the kernel's list of memory types. */
export const LINUX_PROBES: Readonly<Record<Arch, readonly ProbeName[]>> = {
  arm64: [
    'unaligned-load',
    'unaligned-store',
    'unaligned-load-simd',
    'unaligned-store-simd',
    'unaligned-load-pair',
    'unaligned-store-pair',
    'simd-half-aligned',
    'zero-block',
  ],
  x86: ['stage1-self-check', 'unaligned-load', 'unaligned-store', 'nt-store', 'nt-load'],
};

/**
 * What Linux maps resourceN with (pci_mmap_resource_range(), drivers/pci/mmap.c): arm64 pgprot_device(), x86 pgprot_noncached();
 * resourceN_wc is pgprot_writecombine(), which is the model's combining type.
 */
const RESOURCE_TYPE: Readonly<Record<Arch, string>> = { arm64: 'Device-nGnRE', x86: 'UC-' };
/** Of the program's own memory. */
const RAM_TYPE: Readonly<Record<Arch, string>> = { arm64: 'Normal-WB', x86: 'WB' };

function typeNamed(model: ArchitectureModel, name: string): Stage1Type {
  const found = model.stage1Named(name);
  if (found === null) throw new RangeError(`${model.arch} has no stage-1 type ${name}`);
  return found;
}

/** How the guest maps BARs, and the file by which it does. */
export function filesOf(model: ArchitectureModel): readonly { readonly stage1: Stage1Type; readonly file: string }[] {
  return [
    { stage1: typeNamed(model, RESOURCE_TYPE[model.arch]), file: 'resourceN' },
    { stage1: typeNamed(model, model.combiningType), file: 'resourceN_wc' },
  ];
}

export interface LinuxPlan {
  readonly model: ArchitectureModel;
  readonly platform: Platform;
  readonly source: 'cookie' | 'legacy';
  readonly windows: readonly OpenWindow[];
  readonly by: readonly TouchedBy[];
  /** Of each window's BAR: only such a one has a resourceN_wc. */
  readonly prefetchable: readonly boolean[];
}

/** The checks of each window's first page. */
export function planLinux({ model, platform, source, windows, by, prefetchable }: LinuxPlan): readonly PlannedCheck[] {
  const planned = windows.map(({ attribute, access }, index) => ({ attribute, access, by: by[index] ?? 'loads' }));
  const types = filesOf(model).map(({ stage1 }) => stage1);
  return planChecks(model, platform, source, planned, types).filter(
    ({ probe, window, stage1 }) =>
      LINUX_PROBES[model.arch].includes(probe) &&
      (stage1.name !== model.combiningType || prefetchable[window] === true),
  );
}

/** One load in each of the other pages that are touched, by resourceN_wc where there is one. */
export function planLinuxPages(
  { model, windows, prefetchable }: LinuxPlan,
  first: readonly PlannedCheck[],
  pageSize: number,
  whole: boolean,
): readonly PlannedCheck[] {
  return windows.flatMap((window, index) => {
    const combiningType = prefetchable[index] === true ? model.combiningType : RESOURCE_TYPE[model.arch];
    return pageChecks(
      { ...model, combiningType },
      first.filter((check) => check.window === index),
      otherPages(window.length, pageSize, whole),
    );
  });
}

/** The program's own memory, of which everything is known: what loads there do is what the program itself does. */
export function planLinuxControl(model: ArchitectureModel, platform: Platform): readonly PlannedCheck[] {
  const window = { attribute: 'default', access: 'mapped', by: 'loads' } as const;
  return planChecks(model, platform, 'memory', [window], [typeNamed(model, RAM_TYPE[model.arch])]).filter(
    ({ probe }) => probe !== 'stage1-self-check' && LINUX_PROBES[model.arch].includes(probe),
  );
}

export function linuxCellOf(model: ArchitectureModel, check: PlannedCheck): Cell {
  const isListed = check.probe === 'stage1-self-check';
  return {
    ...cellOf(check, [check.stage1], isListed ? BigInt(check.stage1.encoding) : freshSeed()),
    stage1: check.stage1.name === model.combiningType ? LINUX_ABI.resourceWc : LINUX_ABI.resource,
  };
}

const CODE = 0xffffn;

/** A check that the guest had no way to make is no answer. */
export function linuxObservation(record: GuestRecord, bar: number, isCombining: boolean): Observation {
  const { outcome, syndrome } = record;
  const [step, errno] = [syndrome & ~CODE, syndrome & CODE];
  const file = `resource${bar}${isCombining ? '_wc' : ''}`;
  if (outcome === 'not-present' && step === LINUX_ABI.notOpened)
    return { kind: 'skipped', why: `the guest's kernel has no ${file} that can be opened (errno ${errno})` };
  if (outcome === 'not-present' && step === LINUX_ABI.notMapped)
    return { kind: 'skipped', why: `the guest's kernel refuses to map ${file} (errno ${errno})` };
  if (outcome === 'not-present' && step === LINUX_ABI.notListed)
    return {
      kind: 'skipped',
      why: `the guest's kernel shows no memory types: it has no debugfs, or not the file x86/pat_memtype_list in it (errno ${errno})`,
    };
  return { kind: 'record', record };
}
