/**
 * Stage 2: the MemAttr[3:0] field of a stage-2 descriptor (bits [5:2]). HCR_EL2.FWB gives the same bits another meaning
 * (Arm ARM D8.6.5, rule HMNDG, without FWB; D8.6.6, rules VRJSW and RHWZM, with it).
 */
import { DEVICE_KINDS } from './memory-type.ts';
import type { CachePolicy, DeviceKind } from './memory-type.ts';

/** What stage 2 does to the type that stage 1 has chosen. */
export type Stage2Attribute =
  /** The stricter of the two kinds wins; Normal becomes Device. With FWB and without. */
  | { readonly kind: 'device'; readonly device: DeviceKind }
  /** FWB = 0: each cache level becomes the weaker of the two stages; Device stays Device. */
  | { readonly kind: 'limit'; readonly outer: CachePolicy; readonly inner: CachePolicy; readonly tagAccess: boolean }
  /** FWB = 1: Normal becomes NC; Device stays Device. */
  | { readonly kind: 'force-nc' }
  /** FWB = 1: everything becomes Write-Back, Device too. */
  | { readonly kind: 'force-wb'; readonly tagAccess: boolean }
  /** FWB = 1: stage 1 decides alone. */
  | { readonly kind: 'pass'; readonly tagAccess: boolean }
  | { readonly kind: 'reserved'; readonly why: string };

export interface Stage2Features {
  /** HCR_EL2.FWB. */
  readonly fwb: boolean;
  /** FEAT_MTE_PERM gives the NoTagAccess encodings a meaning. */
  readonly mtePerm?: boolean;
}

/** @param memAttr 0 to 15; throws RangeError for anything else */
export function decodeStage2(memAttr: number, { fwb, mtePerm = false }: Stage2Features): Stage2Attribute {
  if (!Number.isInteger(memAttr) || memAttr < 0 || memAttr > 0xf)
    throw new RangeError(`${memAttr} is no stage-2 MemAttr; expected 0 to 15.`);
  return fwb ? decodeForced(memAttr, mtePerm) : decodeCombined(memAttr, mtePerm);
}

const POLICY: readonly (CachePolicy | undefined)[] = [undefined, 'NC', 'WT', 'WB'];

function decodeCombined(memAttr: number, mtePerm: boolean): Stage2Attribute {
  const deviceKind = DEVICE_KINDS[memAttr];
  if (deviceKind !== undefined) return { kind: 'device', device: deviceKind };
  const [outer, inner] = [POLICY[memAttr >> 2], POLICY[memAttr & 0b11]];
  if (outer !== undefined && inner !== undefined) return { kind: 'limit', outer, inner, tagAccess: true };
  if (memAttr === 0b0100 && mtePerm) return { kind: 'limit', outer: 'WB', inner: 'WB', tagAccess: false };
  return reservedAttribute(
    memAttr,
    memAttr === 0b0100 ? 'only FEAT_MTE_PERM gives it a meaning (Write-Back, NoTagAccess)' : 'no inner cacheability',
  );
}

/** MemAttr[2] = 0 is Device; otherwise MemAttr[1:0] chooses; MemAttr[3] is RES0, or NoTagAccess. */
function decodeForced(memAttr: number, mtePerm: boolean): Stage2Attribute {
  const noTagAccess = (memAttr & 0b1000) !== 0;
  const low = memAttr & 0b111;
  if (noTagAccess && !mtePerm) return reservedAttribute(memAttr, 'MemAttr[3] is RES0 without FEAT_MTE_PERM');
  if (noTagAccess && low < 0b110)
    return reservedAttribute(memAttr, 'NoTagAccess only goes with Write-Back and with stage 1 deciding');
  const deviceKind = DEVICE_KINDS[low];
  if (deviceKind !== undefined) return { kind: 'device', device: deviceKind };
  switch (low) {
    case 0b101:
      return { kind: 'force-nc' };
    case 0b110:
      return { kind: 'force-wb', tagAccess: !noTagAccess };
    case 0b111:
      return { kind: 'pass', tagAccess: !noTagAccess };
    default:
      return reservedAttribute(memAttr, 'MemAttr[2:0] = 0b100 has no meaning with FWB');
  }
}

function reservedAttribute(memAttr: number, why: string): Stage2Attribute {
  return { kind: 'reserved', why: `stage-2 MemAttr 0b${memAttr.toString(2).padStart(4, '0')} is reserved: ${why}` };
}

/** What KVM programs, by name: MT_S2_* and MT_S2_FWB_* (arch/arm64/include/asm/memory.h), chosen in stage2_set_prot_attr(). */
const KVM_MEMATTR = {
  'Normal-WB': { combined: 0b1111, forced: 0b0110 },
  'Normal-NC': { combined: 0b0101, forced: 0b0101 },
  'Device-nGnRE': { combined: 0b0001, forced: 0b0001 },
} as const;

export type KvmStage2 = keyof typeof KVM_MEMATTR;

export const KVM_STAGE2: readonly KvmStage2[] = ['Normal-WB', 'Normal-NC', 'Device-nGnRE'];

/**
 * The attribute that `nameOfStage2` gives this name: what KVM programs, and what it never does. Where several encodings mean
 * the same (none does today), the lowest.
 *
 * @throws RangeError for a name that stage 2 does not have under these features
 */
export function stage2Named(name: string, features: Stage2Features): Stage2Attribute {
  const memAttr = MEMATTRS.find((candidate) => nameOfStage2(candidate, features) === name);
  if (memAttr === undefined || name === 'reserved')
    throw new RangeError(`stage 2 has no type ${name}; expected ${stage2Names(features).join(', ')}.`);
  return decodeStage2(memAttr, features);
}

/** The types that stage 2 can have, without those whose inner and outer caches differ: no system is known to use them. */
export function stage2Names(features: Stage2Features): readonly string[] {
  return [...new Set(MEMATTRS.map((memAttr) => nameOfStage2(memAttr, features)))].filter(
    (name) => name !== 'reserved' && !name.startsWith('Normal-o'),
  );
}

const MEMATTRS: readonly number[] = Array.from({ length: 16 }, (_, memAttr) => memAttr);

/** The MemAttr value that KVM uses for a type. */
export function encodeStage2(type: KvmStage2, fwb: boolean): number {
  return KVM_MEMATTR[type][fwb ? 'forced' : 'combined'];
}

/**
 * A stage-2 attribute's name, as a reader of the page tables would say it: what a Normal Write-Back page becomes under it
 * (`Normal-WB`, `Normal-NC`, `Device-nGnRE`), `as-stage-1`, or `reserved`.
 */
export function nameOfStage2(memAttr: number, features: Stage2Features): string {
  const attribute = decodeStage2(memAttr, features);
  switch (attribute.kind) {
    case 'device':
      return `Device-${attribute.device}`;
    case 'limit': {
      const { outer, inner, tagAccess } = attribute;
      return `Normal-${outer === inner ? outer : `o${outer}-i${inner}`}${tagAccess ? '' : '-NoTagAccess'}`;
    }
    case 'force-nc':
      return 'Normal-NC';
    case 'force-wb':
      return attribute.tagAccess ? 'Normal-WB' : 'Normal-WB-NoTagAccess';
    case 'pass':
      return attribute.tagAccess ? 'as-stage-1' : 'as-stage-1-NoTagAccess';
    case 'reserved':
      return 'reserved';
  }
}
