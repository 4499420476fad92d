/** Runs inside an x86 testbed: what Linux has on record and in its page tables for mappings of one BAR that are live at once. */
import { Scope } from '../../common/scope.ts';
import { libcPort as port } from '../../vmm/sys/libc.ts';
import { MMAP_ATTRIBUTE, getMmapCookie, getRegionInfo } from '../../vmm/sys/vfio.ts';
import { findDevice, openVfioDevice } from '../../vmm/vfio/device.ts';
import { parseHostPtdump, readHostRange } from '../../tool/verify/read-back/host-ptdump.ts';
import { mapPlaced } from '../../vmm/memory/mapping.ts';
import type { HostMapping } from '../../vmm/memory/mapping.ts';
import { memtypesOf, parseMemtypeList } from '../../tool/verify/read-back/memtype-list.ts';
import { errnoOf, tell } from './report.ts';

const [, , address = '0000:03:00.0'] = process.argv;
const BAR = 2;
const MIB = 1n << 20n;
const GIB = 1n << 30n;
const scope = new Scope();
const pci = findDevice(port, address);
const device = openVfioDevice(port, scope, pci);
const { offset: legacy, size } = getRegionInfo(port, device.fd, BAR);
const start = pci.bars[BAR]?.start ?? 0n;

type Kind = 'wc' | 'device' | 'legacy';
const OFFSET: Readonly<Record<Kind, bigint>> = {
  wc: getMmapCookie(port, device.fd, BAR, MMAP_ATTRIBUTE.wc).offset,
  device: getMmapCookie(port, device.fd, BAR, MMAP_ATTRIBUTE.device).offset,
  legacy,
};

interface Piece {
  readonly kind: Kind;
  /** Bytes of the BAR. */
  readonly at: bigint;
  readonly length: bigint;
}

function map(within: Scope, { kind, at, length }: Piece): HostMapping {
  return mapPlaced(
    port,
    within,
    { fd: device.fd, offset: OFFSET[kind] + at, length },
    { gpa: 0n, length, alignment: GIB, phase: at % GIB },
  );
}

const memtypes = (): string => port.readText('/sys/kernel/debug/x86/pat_memtype_list');
const reserved = ({ at, length }: Piece): string =>
  memtypesOf(parseMemtypeList(memtypes()), start + at, length)
    .toSorted()
    .join(' ');

/** Touched at its first and last page, so that there are entries to read. */
function entryOf({ address: at, length }: HostMapping): string {
  const ends = [at, at + length - 4096n].map((page) => new Uint32Array(port.view(page, 4096))[0]);
  const { memoryType, mixed, blockSize } = readHostRange(
    parseHostPtdump(port.readText('/sys/kernel/debug/page_tables/current_kernel')),
    at,
    length,
  );
  return ends.includes(undefined)
    ? 'not touched'
    : `${mixed ? 'mixed' : memoryType} ${blockSize === null ? '?' : blockSize / 1024}K`;
}

function permutations<T>(items: readonly T[]): readonly (readonly T[])[] {
  if (items.length <= 1) return [items];
  return items.flatMap((item, index) => permutations(items.toSpliced(index, 1)).map((rest) => [item].concat(rest)));
}

/** Side by side in one BAR: as single pages, and where the BAR is large enough as large ones. */
const LAYOUTS: Readonly<Record<string, readonly Piece[]>> = {
  pages: [
    { kind: 'wc', at: 0n, length: MIB },
    { kind: 'device', at: MIB, length: MIB / 2n },
    { kind: 'legacy', at: MIB + MIB / 2n, length: MIB / 2n },
  ],
  ...(size >= 4n * GIB && {
    'large pages': [
      { kind: 'wc', at: 4n * MIB, length: 2n * MIB },
      { kind: 'device', at: 6n * MIB, length: 4n * MIB },
      { kind: 'legacy', at: 10n * MIB, length: 2n * MIB },
    ],
    'huge pages': [
      { kind: 'wc', at: GIB, length: GIB },
      { kind: 'device', at: 2n * GIB, length: GIB },
      { kind: 'legacy', at: 3n * GIB, length: GIB },
    ],
  }),
};

// The driver maps the BAR for itself when somebody first does, and keeps that.
const first = new Scope();
map(first, { kind: 'legacy', at: 0n, length: 4096n });
first.close();
const before = memtypes();
for (const [name, pieces] of Object.entries(LAYOUTS)) {
  const orders = permutations(pieces).map((order) => {
    const one = new Scope();
    const mapped = order.map((piece) => ({ piece, mapping: map(one, piece) }));
    const found = mapped
      .map(({ piece, mapping }) => `${piece.kind}: ${entryOf(mapping)}, on record ${reserved(piece)}`)
      .toSorted()
      .join('; ');
    one.close();
    return `${found}; afterwards ${memtypes() === before ? 'as before' : memtypes()}`;
  });
  tell(`${name}, in every order`, [...new Set(orders)].join(' | '));
  tell(`${name}, orders`, orders.length);
}

/** Two mappings of one page, one after the other. */
function together(one: Kind, other: Kind): string {
  const both = new Scope();
  try {
    map(both, { kind: one, at: 0n, length: 4096n });
    return errnoOf(() => map(both, { kind: other, at: 0n, length: 4096n }));
  } finally {
    both.close();
  }
}

for (const [one, other] of [
  ['wc', 'device'],
  ['device', 'wc'],
  ['wc', 'legacy'],
  ['legacy', 'wc'],
  ['device', 'legacy'],
  ['legacy', 'device'],
  ['wc', 'wc'],
] as const) {
  tell(`${other} over ${one}`, together(one, other));
}
tell('afterwards', memtypes() === before);
scope.close();
