/** `wcvmm inspect`: which BARs are mapped right now, by whom, and as what, as far as the kernel shows it. Nothing is opened or mapped. */
import { release } from 'node:os';
import { WcvmmError } from '../../../common/errors.ts';
import { MODELS } from '../../../memattr/index.ts';
import type { Arch } from '../../../memattr/index.ts';
import { attempt } from '../../../vmm/sys/attempt.ts';
import { pageSize } from '../../../vmm/sys/libc.ts';
import { pciAddresses, readPciDevice } from '../../../vmm/sys/pci.ts';
import type { PciDevice } from '../../../vmm/sys/pci.ts';
import { SysError, isErrno } from '../../../vmm/sys/port.ts';
import type { Port } from '../../../vmm/sys/port.ts';
import { memtypesOf, parseMemtypeList } from '../../verify/read-back/memtype-list.ts';
import { MEMTYPES } from '../../verify/read-back/paths.ts';
import type { Memtype } from '../../verify/read-back/memtype-list.ts';
import { parseMountinfo } from '../devices/use.ts';
import { barAt, placeOf } from './place.ts';
import type { Place } from './place.ts';
import { parseIoremaps } from './ioremaps.ts';
import { describeProcess, parseMaps, processIds, vfioDevicesOf } from './processes.ts';
import type { Process, ProcessMapping } from './processes.ts';

/** Also the JSON, "wcvmm.inspect/1": a field may be added, none changes meaning. Offsets and lengths are bytes. */
export interface Inspection {
  readonly schema: 'wcvmm.inspect/1';
  readonly arch: Arch;
  readonly kernel: string;
  readonly mappings: readonly SeenMapping[];
  /** x86: all that the kernel has on record for BARs, mapped by a process that was seen or not; none where one process was asked about. */
  readonly records: readonly BarRecord[];
  /** What could not be known, in sentences. */
  readonly limits: readonly string[];
}

export interface SeenMapping {
  /** PCI address; null: the kernel does not show of which device. */
  readonly device: string | null;
  readonly driver: string | null;
  readonly bar: number | null;
  /** In the BAR; null: not known. */
  readonly offset: number | null;
  readonly length: number;
  readonly by:
    | { readonly kind: 'process'; readonly process: Process; readonly file: string; readonly writable: boolean }
    | { readonly kind: 'kernel'; readonly caller: string };
  /** x86: the types on record for it. arm64: the one that such a file gives, which nothing shows. null: not known. */
  readonly types: readonly string[] | null;
  /** recorded: read from the kernel. assumed: what Linux gives such a mapping. */
  readonly evidence: 'recorded' | 'assumed' | null;
  /** False: a file that is only called so, or one of another mount of sysfs, would look the same. */
  readonly certain: boolean;
}

export interface BarRecord {
  readonly device: string;
  readonly bar: number;
  readonly offset: number;
  readonly length: number;
  readonly type: string;
}

export interface InspectRequest {
  /** null: all processes, and the kernel. */
  readonly pid: number | null;
}

/** Throws E_USAGE for a process that there is not, E_PERMISSION for one that this user may not look at. */
export function inspect(port: Port, arch: Arch, { pid }: InspectRequest): Inspection {
  const devices = pciAddresses(port).flatMap((address) => attempt(() => readPciDevice(port, address)) ?? []);
  const record = arch === 'x86' ? readRecord(port) : null;
  const pids = processIds(port, pid);
  if (pid !== null && pids.length === 0)
    throw new WcvmmError('E_USAGE', `there is no process ${pid}; expected the number of one that runs.`);
  const mounts = sysfsDevices(port);
  let hidden = 0;
  const seen = pids.flatMap((one): readonly SeenMapping[] => {
    const maps = mapsOf(port, one, pid !== null);
    if (maps === null) hidden += 1;
    return barMappings(port, arch, devices, record, mounts, one, maps ?? []);
  });
  const kernel = pid === null ? kernelMappings(port, devices, record) : [];
  return {
    schema: 'wcvmm.inspect/1',
    arch,
    kernel: release(),
    mappings: [...seen, ...(kernel ?? [])],
    records: record === null || pid !== null ? [] : devices.flatMap((device) => recordsOf(device, record)),
    limits: [...limitsOf(arch, record !== null, hidden), ...(kernel === null ? [NO_IOREMAPS] : [])],
  };
}

const NO_IOREMAPS = "drivers' own mappings are not listed: only root can read /proc/vmallocinfo";

function limitsOf(arch: Arch, hasRecord: boolean, hidden: number): readonly string[] {
  return [
    ...(arch === 'arm64'
      ? [
          'on arm64 the kernel shows the memory type of no mapping: what stands here follows from the file that was mapped. "wcvmm verify --host" loads through such a mapping of its own; another process could only be stopped for that',
        ]
      : hasRecord
        ? []
        : [
            `types are not known: ${MEMTYPES} cannot be read. Run as root with debugfs mounted, on a kernel with CONFIG_X86_PAT`,
          ]),
    ...(hidden > 0
      ? [
          `${hidden === 1 ? '1 process' : `${hidden} processes`} could not be looked at; root, outside of containers, can look at all`,
        ]
      : []),
    'the kernel does not note when a mapping was made: none is older than its process',
  ];
}

/** Of a process that ended meanwhile: none. null: this user may not know. */
function mapsOf(port: Port, pid: number, wanted: boolean): readonly ProcessMapping[] | null {
  try {
    return parseMaps(port.readText(`/proc/${pid}/maps`));
  } catch (error) {
    if (isErrno(error, 'EACCES', 'EPERM')) {
      if (!wanted) return null;
      throw new WcvmmError('E_PERMISSION', `this user may not look at the mappings of process ${pid}. Run as root.`, {
        cause: error,
      });
    }
    if (error instanceof SysError) return [];
    throw error;
  }
}

function barMappings(
  port: Port,
  arch: Arch,
  devices: readonly PciDevice[],
  record: readonly Memtype[] | null,
  sysfs: ReadonlySet<string>,
  pid: number,
  maps: readonly ProcessMapping[],
): readonly SeenMapping[] {
  const open = (): readonly string[] => vfioDevicesOf(port, pid);
  const placed = maps.flatMap((mapping) => {
    const place = placeOf(devices, mapping, open);
    return place === null ? [] : [{ mapping, place }];
  });
  if (placed.length === 0) return [];
  const process = describeProcess(port, pid);
  return placed.map(({ mapping, place }): SeenMapping => {
    const { types, evidence } = typeOf(arch, place, mapping.length, record);
    return {
      device: place.device?.address ?? null,
      driver: place.device?.driver ?? null,
      bar: place.bar,
      offset: place.offset === null ? null : Number(place.offset),
      length: Number(mapping.length),
      by: { kind: 'process', process, file: place.file, writable: mapping.writable },
      types,
      evidence,
      certain: place.by !== 'sysfs' || sysfs.has(mapping.device),
    };
  });
}

function typeOf(
  arch: Arch,
  { device, bar, offset, by, combines }: Place,
  length: bigint,
  record: readonly Memtype[] | null,
): Pick<SeenMapping, 'types' | 'evidence'> {
  const start = bar === null || offset === null ? undefined : device?.bars[bar]?.start;
  if (arch === 'x86') {
    if (record === null || start === undefined || offset === null) return { types: null, evidence: null };
    const types = memtypesOf(record, start + offset, length);
    // pfnmap_setup_cachemode() and its forerunners: what is mapped page by page, and is not on record, becomes UC-.
    return types.length > 0 ? { types, evidence: 'recorded' } : { types: ['UC-'], evidence: 'assumed' };
  }
  if (by !== 'sysfs') return { types: null, evidence: null };
  return { types: [MODELS[arch].hostVma(combines ? 'wc' : 'device', 'sysfs')], evidence: 'assumed' };
}

/** null: they cannot be read. */
function kernelMappings(
  port: Port,
  devices: readonly PciDevice[],
  record: readonly Memtype[] | null,
): readonly SeenMapping[] | null {
  const text = attempt(() => port.readText('/proc/vmallocinfo'));
  if (text === null) return null;
  return parseIoremaps(text, pageSize()).flatMap(({ start, length, caller }): SeenMapping[] => {
    const found = barAt(devices, start);
    if (found === null) return [];
    const types = record === null ? [] : memtypesOf(record, start, length);
    return [
      {
        device: found.device.address,
        driver: found.device.driver,
        bar: found.bar,
        offset: Number(found.offset),
        length: Number(length),
        by: { kind: 'kernel', caller },
        types: types.length > 0 ? types : null,
        evidence: types.length > 0 ? 'recorded' : null,
        certain: true,
      },
    ];
  });
}

function recordsOf({ address, bars }: PciDevice, record: readonly Memtype[]): readonly BarRecord[] {
  return bars
    .filter(({ kind }) => kind === 'memory')
    .flatMap(({ bar, start, size }) =>
      record
        .filter((entry) => entry.start < start + size && entry.end > start)
        .map((entry): BarRecord => {
          const from = entry.start > start ? entry.start : start;
          const to = entry.end < start + size ? entry.end : start + size;
          return { device: address, bar, offset: Number(from - start), length: Number(to - from), type: entry.type };
        }),
    );
}

function readRecord(port: Port): readonly Memtype[] | null {
  const text = attempt(() => port.readText(MEMTYPES));
  return text === null ? null : parseMemtypeList(text);
}

/** `major:minor`, as maps has it, of sysfs where this process sees it: no other file system can have the same. */
function sysfsDevices(port: Port): ReadonlySet<string> {
  const text = attempt(() => port.readText('/proc/self/mountinfo')) ?? '';
  return new Set(
    parseMountinfo(text)
      .filter(({ point }) => point === '/sys')
      .map(({ device }) =>
        device
          .split(':')
          .map((number) => Number(number).toString(16).padStart(2, '0'))
          .join(':'),
      ),
  );
}
