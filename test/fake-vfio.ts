/**
 * A made-up kernel's VFIO. It knows what each open file is, refuses what Linux refuses (a call on the wrong file, or before the one that
 * it builds on), and notes what was done, in words without numbers of files.
 */
import { ERRNO, SysError } from '../vmm/sys/port.ts';
import type { ErrnoName, Port } from '../vmm/sys/port.ts';
import { stubPort } from './stub-port.ts';

/** A capability of a region's description: its number, and what is behind its header in words of 32 bits. */
export interface FakeCapability {
  readonly id: number;
  readonly words: readonly number[];
}

export interface FakeBar {
  readonly size: bigint;
  readonly isIo?: boolean;
  /** What VFIO says of it; by default that it can be read, written and mapped. */
  readonly flags?: number;
  readonly capabilities?: readonly FakeCapability[];
}

export interface FakeVfioDevice {
  readonly address: string;
  readonly driver?: string | null;
  /** Null: it is in no IOMMU group. */
  readonly group?: string | null;
  /** Null: VFIO has no character devices. */
  readonly cdev?: string | null;
  readonly bars?: Readonly<Record<number, FakeBar>>;
  /** Its command register, at first. */
  readonly command?: number;
}

export interface FakeVfio {
  readonly devices: readonly FakeVfioDevice[];
  /** Nodes of devices, iommufd and containers that are missing. */
  readonly absent?: readonly string[];
  /** Nodes that may not be opened. */
  readonly refused?: Readonly<Record<string, ErrnoName>>;
  /** Requests that fail, whatever they are asked for. */
  readonly failing?: Readonly<Record<number, ErrnoName>>;
  readonly hasCookies?: boolean;
  /** Groups that have a device which another driver uses. */
  readonly notViable?: readonly string[];
  readonly version?: number;
  /** IOMMU types that a container offers. */
  readonly types?: readonly number[];
  /** First and last IOVA of the ranges that can be mapped; none: a container does not say, and an IOAS allows all. */
  readonly allowed?: readonly (readonly [bigint, bigint])[];
  readonly texts?: Readonly<Record<string, string>>;
  /** Nodes and files beside those of VFIO. */
  readonly nodes?: Readonly<Record<string, 'ok' | ErrnoName>>;
}

export const REQUEST = {
  version: 0x3b64,
  extension: 0x3b65,
  setIommu: 0x3b66,
  groupStatus: 0x3b67,
  setContainer: 0x3b68,
  deviceFd: 0x3b6a,
  regionInfo: 0x3b6c,
  iommuInfo: 0x3b70,
  mapDma: 0x3b71,
  feature: 0x3b75,
  bind: 0x3b76,
  attach: 0x3b77,
  ioasAlloc: 0x3b81,
  ioasCopy: 0x3b83,
  ioasRanges: 0x3b84,
  ioasMap: 0x3b85,
} as const;

const CONFIG_REGION = 7;
export const COMMAND_REGISTER = 4;
const [MMAP, CAPS] = [4, 8];
const ALL_IOVAS = [[0n, (1n << 64n) - 1n]] as const;

/** Where a BAR's own mmap offset and a cookie of it are. */
export const ownOffset = (region: number): bigint => BigInt(region) << 40n;
export const cookieOffset = (bar: number, attribute: number): bigint =>
  (1n << 60n) | (BigInt(bar) << 44n) | (BigInt(attribute) << 40n);

type Words = (request: number, argument: Uint8Array | number) => number;

export class FakeVfioKernel {
  readonly port: Port;
  /** What was done, in its order. */
  readonly events: string[] = [];
  /** What each open file is: its path, or `device ADDRESS` for one from a group. */
  readonly files = new Map<number, string>();
  readonly configs = new Map<string, Uint8Array>();
  readonly mapped: Map<bigint, bigint>;
  readonly written: Map<string, string>;
  readonly #fake: FakeVfio;
  /** By device: the file of its iommufd. */
  readonly #bound = new Map<string, number>();
  readonly #ioases = new Map<number, number>();
  /** By group's file: its container's. */
  readonly #containers = new Map<number, number>();
  readonly #types = new Map<number, number>();
  #buffer: DataView = new DataView(new ArrayBuffer(0));
  #nextIoas = 7;

  constructor(fake: FakeVfio) {
    this.#fake = fake;
    for (const { address, command = 0 } of fake.devices) {
      const config = new Uint8Array(256).fill(0xee);
      new DataView(config.buffer).setUint16(COMMAND_REGISTER, command, true);
      this.configs.set(address, config);
    }
    const { port, mapped, written } = stubPort(this.#files());
    [this.mapped, this.written] = [mapped, written];
    this.port = {
      ...port,
      open: (path, flags) => {
        const fd = port.open(path, flags);
        this.files.set(fd, path);
        this.events.push(`open ${path}`);
        return fd;
      },
      close: (fd) => {
        const path = this.files.get(fd);
        if (path !== undefined) this.events.push(`close ${path}`);
        this.files.delete(fd);
        for (const device of fake.devices) {
          if (path === `/dev/vfio/devices/${filled(device).cdev}`) this.#bound.delete(device.address);
        }
        port.close(fd);
      },
      ioctl: (fd, request, argument) => this.#ioctl(fd, request, argument),
      addressOf: (buffer) => ((this.#buffer = new DataView(buffer.buffer)), 0x1000n),
      mmap: (request) => {
        if (request.fd >= 0) this.events.push(`map ${this.#nameOf(request.fd)} at 0x${request.offset.toString(16)}`);
        return port.mmap(request);
      },
      memfd: (name, length) => {
        const fd = port.memfd(name, length);
        this.files.set(fd, `memfd ${name}`);
        this.events.push(`memfd ${name} of ${length}`);
        return fd;
      },
      pread: (fd, into, offset) => {
        into.set(this.#configAt(fd, offset, into.byteLength));
        return into.byteLength;
      },
      pwrite: (fd, from, offset) => {
        this.#configAt(fd, offset, from.byteLength).set(from);
        this.events.push(`config ${Number(offset - ownOffset(CONFIG_REGION))}: ${[...from].join(' ')}`);
        return from.byteLength;
      },
    };
  }

  command(address: string): number {
    return new DataView(this.#config(address).buffer).getUint16(COMMAND_REGISTER, true);
  }

  #files(): Parameters<typeof stubPort>[0] {
    const { devices, absent = [], refused = {}, texts = {}, nodes = {} } = this.#fake;
    const known: Record<string, 'ok' | ErrnoName> = { '/dev/iommu': 'ok', '/dev/vfio/vfio': 'ok' };
    const all: Record<string, string> = {};
    const links: Record<string, string> = {};
    const folders: Record<string, readonly string[]> = {};
    for (const device of devices) {
      const { address, driver, group, cdev, bars } = filled(device);
      const folder = `/sys/bus/pci/devices/${address}`;
      all[`${folder}/vendor`] = '0x1af4\n';
      all[`${folder}/device`] = '0x1110\n';
      all[`${folder}/class`] = '0x050000\n';
      all[`${folder}/resource`] = Array.from({ length: 6 }, (_, bar) => resourceLine(bars[bar])).join('\n');
      if (driver !== null) links[`${folder}/driver`] = driver;
      if (group !== null) {
        links[`${folder}/iommu_group`] = group;
        known[`/dev/vfio/${cdev?.startsWith('noiommu-') === true ? 'noiommu-' : ''}${group}`] = 'ok';
      }
      if (driver === null || !driver.startsWith('vfio')) continue;
      folders[`${folder}/vfio-dev`] = [cdev ?? 'vfio0'];
      if (cdev === null) continue;
      all[`${folder}/vfio-dev/${cdev}/dev`] = '511:0\n';
      known[`/dev/vfio/devices/${cdev}`] = 'ok';
    }
    for (const path of absent) delete known[path];
    return { nodes: { ...known, ...refused, ...nodes }, texts: { ...all, ...texts }, links, folders };
  }

  #nameOf(fd: number): string {
    return this.files.get(fd) ?? `the file ${fd}, which is not open`;
  }

  #config(address: string): Uint8Array {
    const config = this.configs.get(address);
    if (config === undefined) throw new Error(`no device ${address}`);
    return config;
  }

  #configAt(fd: number, offset: bigint, length: number): Uint8Array {
    const device = this.#deviceOf(fd);
    if (device === null) return fail('transfer', 'EINVAL');
    const at = Number(offset - ownOffset(CONFIG_REGION));
    if (at < 0 || at + length > 256) return fail('transfer outside of the configuration space', 'EINVAL');
    return this.#config(device.address).subarray(at, at + length);
  }

  /** The device whose file it is, and that can be used by it. */
  #deviceOf(fd: number): FakeVfioDevice | null {
    const path = this.#nameOf(fd);
    return (
      this.#fake.devices.find((device) => {
        const { address, cdev } = filled(device);
        return path === `device ${address}` || (path === `/dev/vfio/devices/${cdev}` && this.#bound.has(address));
      }) ?? null
    );
  }

  #ioctl(fd: number, request: number, argument: Uint8Array | number): number {
    const name = this.#nameOf(fd);
    const failing = this.#fake.failing?.[request];
    if (failing !== undefined) return fail(`ioctl 0x${request.toString(16)} of ${name}`, failing);
    const answer = this.#answers(fd, name)(request, argument);
    return answer >= 0 ? answer : fail(`ioctl 0x${request.toString(16)} of ${name}`, 'ENOTTY');
  }

  #answers(fd: number, name: string): Words {
    if (name === '/dev/iommu') return (request, argument) => this.#iommufd(fd, request, viewOf(argument));
    if (name === '/dev/vfio/vfio') return (request, argument) => this.#container(fd, request, argument);
    const cdev = this.#fake.devices.find((device) => name === `/dev/vfio/devices/${filled(device).cdev}`);
    if (cdev !== undefined && !this.#bound.has(cdev.address))
      return (request, argument) => (request === REQUEST.bind ? this.#bind(cdev, viewOf(argument)) : -1);
    const device = this.#deviceOf(fd);
    if (device !== null) return (request, argument) => this.#device(device, request, viewOf(argument));
    if (name.startsWith('/dev/vfio/')) return (request, argument) => this.#group(fd, name, request, argument);
    return fail(`ioctl of ${name}`, 'EBADF');
  }

  #bind({ address }: FakeVfioDevice, view: DataView): number {
    const iommufd = view.getInt32(8, true);
    if (this.files.get(iommufd) !== '/dev/iommu') return fail('bind', 'EBADF');
    this.#bound.set(address, iommufd);
    this.events.push(`bind ${address}`);
    return 0;
  }

  #device({ address, bars = {} }: FakeVfioDevice, request: number, view: DataView): number {
    switch (request) {
      case REQUEST.attach: {
        const ioas = view.getUint32(8, true);
        if (this.#ioases.get(ioas) !== this.#bound.get(address)) return fail('attach', 'ENOENT');
        this.events.push(`attach ${address} to ${ioas}`);
        return 0;
      }
      case REQUEST.regionInfo: {
        const region = view.getUint32(8, true);
        if (region === CONFIG_REGION) view.setBigUint64(16, 256n, true);
        else describe(view, bars[region]);
        view.setBigUint64(24, ownOffset(region), true);
        return 0;
      }
      case REQUEST.feature: {
        if (this.#fake.hasCookies !== true) return -1;
        const [bar, attribute] = [view.getUint32(8, true), view.getUint32(12, true)];
        // Asked whether there are cookies, and not for one.
        if ((view.getUint32(4, true) & (1 << 18)) !== 0) return 0;
        view.setBigUint64(16, cookieOffset(bar, attribute), true);
        view.setBigUint64(24, bars[bar]?.size ?? 0n, true);
        return 0;
      }
      default:
        return -1;
    }
  }

  #iommufd(fd: number, request: number, view: DataView): number {
    switch (request) {
      case REQUEST.ioasAlloc:
        view.setUint32(8, this.#nextIoas, true);
        this.#ioases.set(this.#nextIoas++, fd);
        return 0;
      case REQUEST.ioasRanges: {
        const ranges = this.#fake.allowed ?? ALL_IOVAS;
        view.setUint32(8, ranges.length, true);
        writePairs(this.#buffer, 0, ranges);
        return 0;
      }
      case REQUEST.ioasMap:
        this.events.push(`RAM in ${view.getUint32(8, true)} ${span(view, 32, 24)}, from 0x${hexAt(view, 16)}`);
        return 0;
      case REQUEST.ioasCopy:
        this.events.push(`RAM of ${view.getUint32(12, true)} in ${view.getUint32(8, true)} ${span(view, 24, 16)}`);
        return 0;
      default:
        return -1;
    }
  }

  #container(fd: number, request: number, argument: Uint8Array | number): number {
    const { version = 0, types = [1, 3], allowed } = this.#fake;
    switch (request) {
      case REQUEST.version:
        return version;
      case REQUEST.extension:
        return typeof argument === 'number' && types.includes(argument) ? 1 : 0;
      case REQUEST.setIommu:
        if (![...this.#containers.values()].includes(fd)) return fail('a container without a group', 'EINVAL');
        this.#types.set(fd, Number(argument));
        this.events.push(`IOMMU type ${Number(argument)}`);
        return 0;
      case REQUEST.iommuInfo: {
        const view = viewOf(argument);
        if (allowed === undefined) return 0;
        const length = 24 + 16 + allowed.length * 16;
        view.setUint32(0, length, true);
        view.setUint32(4, 2, true);
        if (view.byteLength < length) return 0;
        view.setUint32(16, 24, true);
        view.setUint16(24, 1, true);
        view.setUint32(32, allowed.length, true);
        writePairs(view, 40, allowed);
        return 0;
      }
      case REQUEST.mapDma: {
        const view = viewOf(argument);
        if (!this.#types.has(fd)) return fail('a container without an IOMMU', 'EINVAL');
        this.events.push(`RAM in container ${span(view, 16, 24)}, from 0x${hexAt(view, 8)}`);
        return 0;
      }
      default:
        return -1;
    }
  }

  #group(fd: number, name: string, request: number, argument: Uint8Array | number): number {
    const group = name.replace(/^\/dev\/vfio\/(?:noiommu-)?/, '');
    const members = this.#fake.devices.filter((device) => filled(device).group === group);
    switch (request) {
      case REQUEST.groupStatus:
        viewOf(argument).setUint32(4, this.#fake.notViable?.includes(group) === true ? 2 : 3, true);
        return 0;
      case REQUEST.setContainer: {
        const container = viewOf(argument).getInt32(0, true);
        if (this.files.get(container) !== '/dev/vfio/vfio') return fail('set container', 'EBADF');
        this.#containers.set(fd, container);
        this.events.push(`${name} in its container`);
        return 0;
      }
      case REQUEST.deviceFd: {
        if (typeof argument === 'number' || !this.#types.has(this.#containers.get(fd) ?? -1))
          return fail(name, 'EINVAL');
        const address = new TextDecoder().decode(argument.subarray(0, -1));
        if (!members.some((device) => device.address === address)) return fail(name, 'ENODEV');
        const file = this.port.eventfd();
        this.files.set(file, `device ${address}`);
        this.events.push(`open device ${address}`);
        return file;
      }
      default:
        return -1;
    }
  }
}

function filled(device: FakeVfioDevice): Required<FakeVfioDevice> {
  return { driver: 'vfio-pci', group: '5', cdev: 'vfio0', bars: {}, command: 0, ...device };
}

function fail(call: string, name: ErrnoName): never {
  throw new SysError(call, ERRNO[name]);
}

function viewOf(argument: Uint8Array | number): DataView {
  if (typeof argument === 'number') throw new Error('a number where a structure is expected');
  return new DataView(argument.buffer, argument.byteOffset, argument.byteLength);
}

function resourceLine(bar: FakeBar | undefined): string {
  const start = 0x80_0000_0000n;
  const numbers =
    bar === undefined ? [0n, 0n, 0n] : [start, start + bar.size - 1n, bar.isIo === true ? 0x101n : 0x200n];
  return numbers.map((value) => `0x${value.toString(16).padStart(16, '0')}`).join(' ');
}

/** struct vfio_region_info, with its capabilities where they have room. */
function describe(view: DataView, bar: FakeBar | undefined): void {
  const { size = 0n, flags = size === 0n ? 0 : 3 | MMAP, capabilities = [] } = bar ?? {};
  const length = 32 + capabilities.reduce((sum, { words }) => sum + 8 + words.length * 4, 0);
  view.setUint32(0, length, true);
  view.setUint32(4, capabilities.length > 0 ? flags | CAPS : flags, true);
  view.setBigUint64(16, size, true);
  if (capabilities.length === 0 || view.byteLength < length) return;
  view.setUint32(12, 32, true);
  let at = 32;
  for (const [index, { id, words }] of capabilities.entries()) {
    const end = at + 8 + words.length * 4;
    view.setUint16(at, id, true);
    view.setUint16(at + 2, 1, true);
    view.setUint32(at + 4, index === capabilities.length - 1 ? 0 : end, true);
    for (const [word, value] of words.entries()) view.setUint32(at + 8 + word * 4, value, true);
    at = end;
  }
}

function writePairs(view: DataView, at: number, pairs: readonly (readonly [bigint, bigint])[]): void {
  for (const [index, [first, last]] of pairs.entries()) {
    view.setBigUint64(at + index * 16, first, true);
    view.setBigUint64(at + index * 16 + 8, last, true);
  }
}

function hexAt(view: DataView, at: number): string {
  return view.getBigUint64(at, true).toString(16);
}

function span(view: DataView, start: number, length: number): string {
  return `0x${hexAt(view, start)}+0x${hexAt(view, length)}`;
}
