/**
 * `wcvmm verify --host`: is a BAR that a program maps through sysfs write-combining, or strict, as it should be? Without KVM, VFIO or
 * a patched kernel, so also inside a virtual machine. What is not shown is said, and is no match.
 */
import { release } from 'node:os';
import { MODELS, bsaRules, hazardsOfType, memoryKindOf } from '../../../memattr/index.ts';
import type { Arch, BsaRule, Hazard, MemoryKind } from '../../../memattr/index.ts';
import type { Port } from '../../../vmm/sys/port.ts';
import { VERIFY_ARCHITECTURES } from '../../verify/arch/index.ts';
import { emulatorHere } from '../../verify/emulator.ts';
import { originHere } from '../../verify/origin.ts';
import { probeHost } from '../../verify/read-back/host-probe.ts';
import { hazardsHere } from '../../verify/read-back/silicon.ts';
import { lookAtRecord, lookByLoads } from './look.ts';
import type { Look, Looked } from './look.ts';
import { summariseHost } from './result.ts';
import type { HostMapping, HostReport, HostVerdict } from './result.ts';
import { hostTargets } from './targets.ts';
import type { HostRequest, HostTarget } from './targets.ts';

interface HostArchitecture {
  /** All that a mapping of the host's can be. */
  readonly types: readonly string[];
  look(port: Port): Look;
  readonly limits: readonly string[];
}

const HOST_ARCHITECTURES: Readonly<Record<Arch, HostArchitecture>> = {
  arm64: {
    types: ['Device-nGnRnE', 'Device-nGnRE', 'Device-nGRE', 'Device-GRE', 'Normal-NC', 'Normal-WT', 'Normal-WB'],
    look: (port) => lookByLoads(port, probeHost),
    limits: [
      'an unaligned load tells Device from Normal, and no more: not the kinds of Device memory, nor Normal-NC from cached memory',
      'two loads were made at the start of each mapping; where reading a register has a side effect, it has had it. -d and --bar limit what is read',
    ],
  },
  x86: {
    types: ['UC', 'UC-', 'WC', 'WT', 'WP', 'WB'],
    look: lookAtRecord,
    limits: [
      "the kernel's record of memory types was read, and no access was observed: no x86 memory type makes an access fault",
    ],
  },
};

/** Throws as hostTargets does. @param look in tests something else than this machine's */
export function checkHost(
  port: Port,
  arch: Arch,
  request: HostRequest & { readonly asked: readonly string[] },
  look?: Look,
): HostReport {
  const own = HOST_ARCHITECTURES[arch];
  const targets = hostTargets(port, request);
  const possible = targets.filter(({ why }) => why === null);
  const found = (look ?? own.look(port))(possible);
  const looked = new Map(possible.map((target, index) => [target, found[index]]));
  const faults = found.some((one) => one.kind === 'loaded' && one.shown === 'Device');
  const hazards = hazardsHere(port);
  const mappings = targets.map((target) => mappingOf(arch, target, looked.get(target), faults, hazards));
  const emulator = emulatorHere(port);
  return {
    schema: 'wcvmm.host/1',
    arch,
    origin: originHere(port, VERIFY_ARCHITECTURES[arch], request.asked),
    kernel: release(),
    emulator,
    mappings,
    hazards,
    limits: mappings.every(({ verdict }) => verdict === 'skipped')
      ? []
      : [...own.limits, ...mtrrLimits(arch, mappings)],
    summary: summariseHost(mappings),
  };
}

function mtrrLimits(arch: Arch, mappings: readonly HostMapping[]): readonly string[] {
  const unread = mappings.some(({ programmed, mtrr }) => programmed !== null && mtrr === undefined);
  return arch === 'x86' && unread
    ? [
        'what the MTRRs make of the type was not read, which takes root and the module msr: where they say WC, UC- is write-combining',
      ]
    : [];
}

/** @param faults whether any load of this machine's raised an alignment fault */
function mappingOf(
  arch: Arch,
  target: HostTarget,
  looked: Looked | undefined,
  faults: boolean,
  hazards: readonly Hazard[],
): HostMapping {
  const { pci, bar, attribute, path } = target;
  const predicted = MODELS[arch].hostVma(attribute, 'sysfs');
  const judged =
    looked === undefined ? skipped(target.why ?? 'it was not tried') : judge(arch, predicted, looked, faults);
  return {
    device: pci.address,
    id: pci.id,
    driver: pci.driver,
    bar: bar.bar,
    file: path.split('/').at(-1) ?? path,
    attribute,
    length: Number(looked !== undefined && 'length' in looked ? looked.length : bar.size),
    predicted,
    ...judged,
    hazards: judged.verdict === 'skipped' ? [] : hazardsOfType(hazards, predicted).map(({ id }) => id),
  };
}

type Judged = Pick<HostMapping, 'programmed' | 'mtrr' | 'observed' | 'excludes' | 'rules' | 'verdict' | 'note'>;

const NOTHING = { programmed: null, observed: null, excludes: [], rules: [] };

function skipped(note: string): Judged {
  return { ...NOTHING, verdict: 'skipped', note };
}

function judge(arch: Arch, predicted: string, looked: Looked, faults: boolean): Judged {
  switch (looked.kind) {
    case 'refused':
      return skipped(looked.why);
    case 'hidden':
      return { ...NOTHING, verdict: 'unobservable', note: looked.why };
    case 'recorded':
      return judgeRecord(arch, predicted, looked);
    case 'loaded':
      return judgeLoads(arch, predicted, looked.shown, faults);
  }
}

function judgeRecord(arch: Arch, predicted: string, { types, before, mtrr }: Looked & { kind: 'recorded' }): Judged {
  const [only] = types;
  if (only === undefined)
    return { ...NOTHING, verdict: 'unobservable', note: 'the kernel has nothing on record for the mapping' };
  const programmed = types.length === 1 ? only : 'mixed';
  const excludes = HOST_ARCHITECTURES[arch].types.filter((type) => !types.includes(type));
  const shown = { programmed, ...(mtrr !== null && { mtrr }), observed: null, excludes, rules: [] };
  if (programmed === predicted) return { ...shown, verdict: 'match', note: null };
  const earlier =
    before.length > 0
      ? `: the BAR was already mapped as ${before.join(' and ')}, and on x86 the first mapping of a page decides. "wcvmm inspect" shows whose it is`
      : '';
  return { ...shown, verdict: 'mismatch', note: `asked for ${predicted}, got ${types.join(' and ')}${earlier}` };
}

function judgeLoads(arch: Arch, predicted: string, shown: MemoryKind, faults: boolean): Judged {
  const excludes = HOST_ARCHITECTURES[arch].types.filter((type) => memoryKindOf(type) !== shown);
  const rules: readonly BsaRule[] = [
    ...bsaRules('aligned', predicted),
    ...(shown === 'Normal' ? bsaRules('unaligned', predicted) : []),
  ];
  const seen = { programmed: null, observed: shown, excludes, rules };
  const verdict = (verdictOf: HostVerdict, note: string | null): Judged => ({ ...seen, verdict: verdictOf, note });
  if (memoryKindOf(predicted) !== shown)
    return verdict(
      'mismatch',
      shown === 'Device'
        ? `asked for ${predicted}, and an unaligned load faulted, as on Device memory only`
        : `asked for ${predicted}, and an unaligned load worked, as on Normal memory only; or this is an emulator that does not model alignment faults (QEMU before 10, or with one thread)`,
    );
  if (shown === 'Normal' && !faults)
    return {
      ...seen,
      excludes: [],
      rules: [],
      verdict: 'unobservable',
      note: 'an unaligned load worked, and on this machine it was seen to fault nowhere: that says something only where the same load faults on Device memory',
    };
  return verdict('match', null);
}
