/** A made-up kernel for the PCI host: KVM's memslots, routes and irqfds, and VFIO devices. It notes what must never happen. */
import { Scope } from '../common/scope.ts';
import type { Vm } from '../vmm/kvm/vm.ts';
import type { DeviceDescription } from '../vmm/bus/device.ts';
import { createDevice as createEcam } from '../vmm/devices/pci/ecam.ts';
import { createDevice as createMemory } from '../vmm/devices/pci/memory.ts';
import { openPciHost } from '../vmm/devices/pci/open.ts';
import type { OpenPciHost } from '../vmm/devices/pci/open.ts';
import type { PassedDevice } from '../vmm/devices/pci/request.ts';
import { parseMap } from '../vmm/memory/map.ts';
import { Memslots } from '../vmm/memory/slots.ts';
import { KVM_IRQFD, KVM_SET_GSI_ROUTING } from '../vmm/sys/kvm-irq.ts';
import { ERRNO, SysError } from '../vmm/sys/port.ts';
import type { Port } from '../vmm/sys/port.ts';
import { VFIO_DEVICE_GET_INFO, VFIO_DEVICE_GET_IRQ_INFO, VFIO_DEVICE_SET_IRQS } from '../vmm/sys/vfio-irq.ts';
import type { Dma } from '../vmm/vfio/dma.ts';
import type { BarSource } from '../vmm/vfio/source.ts';
import { stubPort } from './stub-port.ts';

const KVM_SET_USER_MEMORY_REGION = 0x4020ae46;
const VFIO_DEVICE_GET_REGION_INFO = 0x3b6c;
const VFIO_DEVICE_RESET = 0x3b6f;
const VFIO_DEVICE_FEATURE = 0x3b75;
const [IOAS_UNMAP, IOAS_MAP_FILE] = [0x3b86, 0x3b8f];
const [MAP_DMA, UNMAP_DMA] = [0x3b71, 0x3b72];
const MAP_FIXED = 0x10;

export const PAGE = 4096;
export const VM = 3;
export const FIRST_GSI = 32;
export const LOW = { base: 0x1000_0000, size: 0x1000_0000 };
export const HIGH = { base: 0x80_0000_0000, size: 0x10_0000_0000 };
/** What is somebody else's memslot. */
export const RAM = { gpa: 0x4000_0000n, length: 0x1000_0000n };

export interface FakeDevice {
  readonly config: Uint8Array;
  /** Sizes of memory BARs, bytes. */
  readonly bars: Readonly<Record<number, number>>;
  readonly irqs?: number;
  readonly noResize?: boolean;
  /** Vectors that the host can give. */
  readonly hostVectors?: number;
  readonly maps?: readonly string[];
  readonly mayTransfer?: boolean;
  readonly mappable?: boolean;
  readonly dma?: Dma;
}

export interface Slot {
  readonly gpa: bigint;
  readonly length: bigint;
  readonly hva: bigint;
}

interface State {
  readonly device: FakeDevice;
  /** VFIO's eventfd by vector; null: interrupts are off. */
  vectors: Map<number, number> | null;
  asked: number;
  resets: number;
  /** Stores to configuration space: offset and bytes. */
  readonly written: [number, readonly number[]][];
}

export class FakeKernel {
  readonly port: Port;
  readonly slots = new Map<number, Slot>();
  /** GSIs by eventfd. */
  readonly irqfds = new Map<number, number>();
  /** The words of a route by GSI. */
  readonly routes = new Map<number, string>();
  readonly events = new Map<number, number>();
  /** GSIs of the interrupts that the guest got. */
  readonly delivered: number[] = [];
  /** What other devices reach: by address space and address, the length and what is behind it. */
  readonly dma = new Map<string, string>();
  /** Which BAR of which device a DMA-buf is. */
  readonly dmaBufs = new Map<number, string>();
  /** Rules that were broken. */
  readonly violations: string[] = [];
  readonly states = new Map<number, State>();
  readonly memory = new Map<bigint, ArrayBuffer>();
  readonly #mapped = new Map<bigint, bigint>();
  readonly #pageSize: number;
  #nextFd = 100;

  /** @param pageSize of the host, bytes */
  constructor(pageSize: number = PAGE) {
    this.#pageSize = pageSize;
    const { port: stub } = stubPort({});
    this.port = {
      ...stub,
      ioctl: (fd, request, argument) => this.#ioctl(fd, request, argument),
      eventfd: () => {
        this.events.set(this.#nextFd, 0);
        return this.#nextFd++;
      },
      close: (fd) => {
        if (this.irqfds.has(fd)) this.violations.push('an eventfd is closed while KVM takes its signals');
        this.events.delete(fd);
        this.dmaBufs.delete(fd);
      },
      read: (fd) => {
        if (this.events.get(fd) === undefined) throw new SysError('read', ERRNO.EBADF);
        if (this.events.get(fd) === 0) throw new SysError('read', ERRNO.EAGAIN);
        this.events.set(fd, 0);
        return 8;
      },
      write: (fd, from) => (this.signal(fd), from.byteLength),
      mmap: (request) => {
        if (request.address !== undefined && (request.flags & MAP_FIXED) !== 0) {
          this.#mapped.set(request.address, request.length);
          return request.address;
        }
        return stub.mmap(request);
      },
      view: (address, length) => {
        const whole = this.#mapped.get(address);
        if (whole === undefined || BigInt(length) > whole) this.violations.push(`a view of 0x${address.toString(16)}`);
        const buffer = this.memory.get(address) ?? new ArrayBuffer(length);
        this.memory.set(address, buffer);
        return buffer;
      },
      pread: (fd, into, offset) => this.#transfer(fd, into, Number(offset), false),
      pwrite: (fd, from, offset) => this.#transfer(fd, from, Number(offset), true),
    };
  }

  /** As a device does by VFIO, or user space by write(2). */
  signal(eventfd: number): void {
    const gsi = this.irqfds.get(eventfd);
    if (gsi === undefined) this.events.set(eventfd, (this.events.get(eventfd) ?? 0) + 1);
    else {
      this.delivered.push(gsi);
      this.events.set(eventfd, 0);
    }
  }

  /** The device sends vector `vector`; nothing happens where VFIO was not asked to pass it on. */
  interrupt(fd: number, vector: number): void {
    const eventfd = this.states.get(fd)?.vectors?.get(vector);
    if (eventfd !== undefined && eventfd >= 0) this.signal(eventfd);
  }

  state(fd: number): State {
    const state = this.states.get(fd);
    if (state === undefined) throw new Error(`no device has the file ${fd}`);
    return state;
  }

  addDevice(fd: number, device: FakeDevice): void {
    this.states.set(fd, { device, vectors: null, asked: 0, resets: 0, written: [] });
  }

  #ioctl(fd: number, request: number, argument: Uint8Array | number): number {
    if (request === VFIO_DEVICE_RESET) {
      this.state(fd).resets += 1;
      if ([...this.dma.values()].some((what) => what.includes(`of ${fd} `)))
        this.violations.push('a reset under a mapping');
      return 0;
    }
    if (typeof argument === 'number') throw new SysError(`ioctl 0x${request.toString(16)}`, ERRNO.ENOTTY);
    const view = new DataView(argument.buffer, argument.byteOffset, argument.byteLength);
    switch (request) {
      case KVM_SET_USER_MEMORY_REGION:
        return this.#setSlot(view);
      case VFIO_DEVICE_FEATURE:
        this.dmaBufs.set(this.#nextFd, `of ${fd} bar ${view.getUint32(8, true)}`);
        return this.#nextFd++;
      case IOAS_MAP_FILE: {
        const what = this.dmaBufs.get(view.getInt32(12, true)) ?? 'nothing';
        return this.#mapDma(`ioas ${view.getUint32(8, true)}`, view.getBigUint64(32, true), what);
      }
      case IOAS_UNMAP:
        return this.#unmapDma(`ioas ${view.getUint32(4, true)}`, view.getBigUint64(8, true), 1n);
      case MAP_DMA:
        return this.#mapDma(
          `container ${fd}`,
          view.getBigUint64(16, true),
          `of hva 0x${view.getBigUint64(8, true).toString(16)}`,
        );
      case UNMAP_DMA:
        return this.#unmapDma(`container ${fd}`, view.getBigUint64(8, true), view.getBigUint64(16, true));
      case KVM_IRQFD:
        return this.#irqfd(view);
      case KVM_SET_GSI_ROUTING:
        return this.#setRoutes(view);
      case VFIO_DEVICE_GET_REGION_INFO:
        return this.#regionInfo(this.state(fd).device, view);
      case VFIO_DEVICE_GET_INFO:
        view.setUint32(4, 3, true);
        return 0;
      case VFIO_DEVICE_GET_IRQ_INFO:
        view.setUint32(4, 1 | (this.state(fd).device.noResize === true ? 8 : 0), true);
        view.setUint32(12, this.state(fd).device.irqs ?? 0, true);
        return 0;
      case VFIO_DEVICE_SET_IRQS:
        return this.#setIrqs(this.state(fd), view);
      default:
        throw new SysError(`ioctl 0x${request.toString(16)}`, ERRNO.ENOTTY);
    }
  }

  #mapDma(space: string, iova: bigint, what: string): number {
    const key = `${space} 0x${iova.toString(16)}`;
    if (this.dma.has(key)) throw new SysError('map', ERRNO.EEXIST);
    this.dma.set(key, what);
    return 0;
  }

  #unmapDma(space: string, iova: bigint, length: bigint): number {
    const found = [...this.dma.keys()].filter((key) => {
      const at = BigInt(key.split(' ').at(-1) ?? 0);
      return key.startsWith(`${space} `) && at >= iova && at < iova + length;
    });
    if (found.length === 0) this.violations.push(`nothing is mapped in ${space} at 0x${iova.toString(16)}`);
    for (const key of found) this.dma.delete(key);
    return 0;
  }

  #setSlot(view: DataView): number {
    const slot = view.getUint32(0, true);
    const [gpa, length, hva] = [8, 16, 24].map((at) => view.getBigUint64(at, true));
    if (gpa === undefined || length === undefined || hva === undefined) return 0;
    if (length === 0n) {
      if (!this.slots.delete(slot)) this.violations.push(`memslot ${slot} is removed and is not there`);
      return 0;
    }
    if ([gpa, length, hva].some((value) => value % BigInt(this.#pageSize) !== 0n))
      throw new SysError('KVM_SET_USER_MEMORY_REGION', ERRNO.EINVAL);
    if (this.slots.has(slot)) this.violations.push(`memslot ${slot} is set twice`);
    for (const other of [RAM, ...this.slots.values()]) {
      if (gpa >= other.gpa + other.length || other.gpa >= gpa + length) continue;
      this.violations.push(`memslots overlap at 0x${gpa.toString(16)}`);
      throw new SysError('KVM_SET_USER_MEMORY_REGION', ERRNO.EEXIST);
    }
    this.slots.set(slot, { gpa, length, hva });
    return 0;
  }

  #irqfd(view: DataView): number {
    const [eventfd, gsi, flags] = [0, 4, 8].map((at) => view.getUint32(at, true));
    if (eventfd === undefined || gsi === undefined) return 0;
    if (flags === 1) {
      if (!this.irqfds.delete(eventfd)) this.violations.push('an irqfd is taken back that was not assigned');
      return 0;
    }
    if (!this.routes.has(gsi)) this.violations.push(`an irqfd before the route of GSI ${gsi}`);
    if (this.irqfds.has(eventfd)) throw new SysError('KVM_IRQFD', ERRNO.EBUSY);
    this.irqfds.set(eventfd, gsi);
    // As irqfd_assign does: what the eventfd holds is delivered, and stays in it.
    if ((this.events.get(eventfd) ?? 0) > 0) this.delivered.push(gsi);
    return 0;
  }

  #setRoutes(view: DataView): number {
    const routes = new Map<number, string>();
    for (let index = 0; index < view.getUint32(0, true); index += 1) {
      const words = Array.from({ length: 8 }, (_, word) =>
        view.getUint32(8 + index * 48 + word * 4, true).toString(16),
      );
      routes.set(view.getUint32(8 + index * 48, true), words.slice(1).join(' '));
    }
    for (const gsi of this.irqfds.values()) {
      if (routes.get(gsi) !== this.routes.get(gsi))
        this.violations.push(`the route of GSI ${gsi} changes under its irqfd`);
    }
    this.routes.clear();
    for (const [gsi, route] of routes) this.routes.set(gsi, route);
    return 0;
  }

  #setIrqs(state: State, view: DataView): number {
    const [flags, start, count] = [4, 12, 16].map((at) => view.getUint32(at, true));
    if (flags === undefined || start === undefined || count === undefined) return 0;
    if (count === 0) {
      state.vectors = null;
      state.asked = 0;
      return 0;
    }
    const { noResize = false, hostVectors = 4096 } = state.device;
    if (start + count > hostVectors) return hostVectors;
    if (noResize && state.vectors !== null && start + count > state.asked) throw new SysError('SET_IRQS', ERRNO.EINVAL);
    state.asked = Math.max(state.asked, start + count);
    state.vectors ??= new Map();
    for (let index = 0; index < count; index += 1)
      state.vectors.set(start + index, view.getInt32(20 + index * 4, true));
    return 0;
  }

  #regionInfo({ bars, config, mappable = true }: FakeDevice, view: DataView): number {
    const index = view.getUint32(8, true);
    const size = index === 7 ? config.byteLength : (bars[index] ?? 0);
    view.setUint32(4, index < 6 && mappable ? 7 : 3, true);
    view.setBigUint64(16, BigInt(size), true);
    view.setBigUint64(24, BigInt(index) << 40n, true);
    return 0;
  }

  #transfer(fd: number, bytes: Uint8Array, at: number, isWrite: boolean): number {
    const { device, written } = this.state(fd);
    const offset = at % 2 ** 40;
    if (at - offset !== 7 * 2 ** 40) return bytes.fill(isWrite ? 0 : 0x5a).byteLength;
    if (isWrite) {
      written.push([offset, [...bytes]]);
      device.config.set(bytes, offset);
    } else bytes.set(device.config.subarray(offset, offset + bytes.byteLength));
    return bytes.byteLength;
  }
}

/** One vCPU's thread with its handlers. */
export interface FakeHost {
  readonly kernel: FakeKernel;
  readonly scope: Scope;
  readonly host: OpenPciHost;
  readonly descriptions: readonly DeviceDescription[];
  readConfig(devfn: number, at: number, length: number): bigint;
  writeConfig(devfn: number, at: number, length: number, value: bigint | number): void;
  readMemory(address: number, length: number): bigint;
  writeMemory(address: number, length: number, value: bigint | number): void;
}

/** The file of device number `index`. */
export function fdOf(index: number): number {
  return 10 + index;
}

export function passedDevice(fd: number, device: FakeDevice): PassedDevice {
  const { bars, mappable = true, maps = [], mayTransfer = true, dma = { kind: 'none' } } = device;
  const regions = Array.from({ length: 6 }, (_, bar) => {
    const size = BigInt(bars[bar] ?? 0);
    const kind = size === 0n ? ('absent' as const) : ('memory' as const);
    return { bar, kind, size, mmappable: size > 0n && mappable ? [{ offset: 0n, length: size }] : [] };
  });
  const pci = {
    address: `0000:0${fd}:00.0`,
    id: '1b36:0010',
    classCode: 0x01_08_02,
    driver: 'vfio-pci',
    hasVfioDriver: true,
    iommuGroup: '1',
    vfioCdev: 'vfio0',
    bars: [],
  };
  const source: PassedDevice['source'] = {
    kind: 'cookie',
    pci,
    regions,
    device: { pci, fd, kvmFile: fd, dma },
    slice: ({ bar, offset, length }) => ({ fd, offset: (BigInt(bar) << 40n) + offset, length }),
    map: (): never => {
      throw new Error('windows of a guest are mapped by slice');
    },
  } satisfies BarSource;
  return { source, maps: maps.map(parseMap), mayTransfer };
}

export function fakeHost(
  devices: readonly FakeDevice[],
  {
    hasIts = false,
    enforce = false,
    pageSize = PAGE,
    port,
  }: { hasIts?: boolean; enforce?: boolean; pageSize?: number; port?: (real: Port) => Port } = {},
): FakeHost {
  const kernel = new FakeKernel(pageSize);
  const scope = new Scope();
  for (const [index, device] of devices.entries()) kernel.addDevice(fdOf(index), device);
  const used = port?.(kernel.port) ?? kernel.port;
  const open = (): OpenPciHost =>
    openPciHost(used, scope, {
      vm: VM,
      slots: new Memslots(used, scope, VM),
      windows: { low: LOW, high: HIGH },
      firstGsi: FIRST_GSI,
      fixedRoutes: [{ gsi: 4, kind: 'irqchip', irqchip: 2, pin: 4 }],
      hasIts,
      enforce,
      devices: devices.map((device, index) => passedDevice(fdOf(index), device)),
      pageSize,
    });
  let host: OpenPciHost;
  try {
    host = open();
  } catch (error) {
    scope.close();
    throw error;
  }
  const descriptions = host.descriptions(0x3000_0000, true);
  const context = { port: used, isStopping: () => false };
  const build = (create: typeof createEcam, index: number): ReturnType<typeof createEcam> =>
    // As on the way to another thread.
    create(context, structuredClone(descriptions[index]?.options));
  const [ecam, low, high] = [build(createEcam, 0), build(createMemory, 1), build(createMemory, 2)];
  const access = (device: typeof ecam, offset: number, length: number, value: bigint | null): bigint => {
    const data = new DataView(new ArrayBuffer(8));
    if (value !== null) data.setBigUint64(0, BigInt.asUintN(64, value), true);
    const exit = value === null ? device.read?.(offset, length, data) : device.write?.(offset, length, data);
    if (exit !== null) throw new Error(`an exit: ${JSON.stringify(exit)}`);
    return BigInt.asUintN(8 * length, data.getBigUint64(0, true));
  };
  const at = (address: number): [typeof ecam, number] =>
    address >= HIGH.base ? [high, address - HIGH.base] : [low, address - LOW.base];
  return {
    kernel,
    scope,
    host,
    descriptions,
    readConfig: (devfn, offset, length) => access(ecam, devfn * 4096 + offset, length, null),
    writeConfig: (devfn, offset, length, value) => void access(ecam, devfn * 4096 + offset, length, BigInt(value)),
    readMemory: (address, length) => access(...at(address), length, null),
    writeMemory: (address, length, value) => void access(...at(address), length, BigInt(value)),
  };
}

/** No file: what the kernel itself is asked of it is refused, as by a device that has gone. */
export const MADE_UP_FILE = 1_000_000;

/** A PCI host in a VM of a real KVM, with one device: its VFIO is made up, and its BAR is a file's memory. */
export interface HostOnMemory {
  readonly fake: FakeKernel;
  /** The kernel's own but for the device. */
  readonly port: Port;
  readonly memory: number;
  readonly host: OpenPciHost;
}

/** @param real the machine's kernel @param pageSize bytes @param device with one BAR, of 16 KiB */
export function openHostOnMemory(
  real: Port,
  scope: Scope,
  { vm, slots }: Pick<Vm, 'vm' | 'slots'>,
  pageSize: number,
  device: FakeDevice = nvme(),
): HostOnMemory {
  const fake = new FakeKernel();
  fake.addDevice(MADE_UP_FILE, device);
  const of = (fd: number): Port => (fd === MADE_UP_FILE ? fake.port : real);
  const port: Port = {
    ...real,
    ioctl: (fd, request, argument) => of(fd).ioctl(fd, request, argument),
    pread: (fd, into, offset) => of(fd).pread(fd, into, offset),
    pwrite: (fd, from, offset) => of(fd).pwrite(fd, from, offset),
  };
  const memory = real.memfd('bar', 0x4000n);
  scope.defer(() => real.close(memory));
  const { source, ...rest } = passedDevice(MADE_UP_FILE, device);
  const host = openPciHost(port, scope, {
    vm,
    slots,
    windows: { low: LOW, high: HIGH },
    firstGsi: FIRST_GSI,
    fixedRoutes: [],
    hasIts: false,
    pageSize,
    devices: [{ ...rest, source: { ...source, slice: ({ offset, length }) => ({ fd: memory, offset, length }) } }],
  });
  return { fake, port, memory, host };
}

/** Configuration space of a function with these BARs and capabilities; capabilities stand where they are put. */
export function configWith({
  bars = [],
  capabilities = [],
  pin = 1,
}: {
  /** The registers' flags. */
  readonly bars?: readonly (readonly [bar: number, flags: number])[];
  readonly capabilities?: readonly (readonly [at: number, bytes: readonly number[]])[];
  readonly pin?: number;
}): Uint8Array {
  const config = new Uint8Array(4096);
  const view = new DataView(config.buffer);
  view.setUint32(0, 0x0010_1b36, true);
  view.setUint16(4, 0x0100, true);
  view.setUint32(8, 0x0108_0202, true);
  view.setUint32(0x2c, 0x1100_1af4, true);
  view.setUint8(0x3d, pin);
  for (const [bar, flags] of bars) view.setUint32(0x10 + bar * 4, 0xfebd_0000 | flags, true);
  let link = 0x34;
  for (const [at, bytes] of capabilities) {
    view.setUint8(6, 0x10);
    view.setUint8(link, at);
    config.set(bytes, at);
    view.setUint8(at + 1, 0);
    link = at + 1;
  }
  return config;
}

const word = (value: number): readonly number[] => [0, 8, 16, 24].map((shift) => (value >>> shift) & 0xff);

/** Of `vectors`, with table and pending bits at offsets of BARs. */
export function msixCapability(
  vectors: number,
  table: readonly [bar: number, offset: number],
  pending: readonly [bar: number, offset: number],
): readonly number[] {
  const control = vectors - 1;
  return [0x11, 0, control & 0xff, control >> 8, ...word(table[0] | table[1]), ...word(pending[0] | pending[1])];
}

export const POWER_CAPABILITY = [0x01, 0, 0x03, 0xc8, 0, 0, 0, 0] as const;

/** Version 2, an endpoint that can be reset. */
export function expressCapability(canReset: boolean): readonly number[] {
  const bytes = Array.from({ length: 60 }, () => 0);
  bytes[0] = 0x10;
  bytes[2] = 0x02;
  if (canReset) bytes[7] = 0x10;
  return bytes;
}

/** As QEMU's NVMe controller: one 64-bit BAR of 16 KiB with registers, the MSI-X table and the pending bits. */
export function nvme(extra: Partial<FakeDevice> = {}): FakeDevice {
  return {
    config: configWith({
      bars: [[0, 0x4]],
      capabilities: [
        [0x40, msixCapability(65, [0, 0x2000], [0, 0x3000])],
        [0x60, POWER_CAPABILITY],
        [0x80, expressCapability(true)],
      ],
    }),
    bars: { 0: 0x4000 },
    irqs: 65,
    ...extra,
  };
}

/** A NIC with three BARs; registers and the MSI-X table share the last one's only page. */
export function nic(extra: Partial<FakeDevice> = {}): FakeDevice {
  return {
    config: configWith({
      bars: [
        [0, 0xc],
        [2, 0x0],
        [4, 0xc],
      ],
      capabilities: [
        [0x50, POWER_CAPABILITY],
        [0x70, msixCapability(10, [4, 0x800], [4, 0x900])],
        [0xa0, expressCapability(true)],
      ],
    }),
    bars: { 0: 0x10000, 2: 0x8000, 4: 0x1000 },
    irqs: 10,
    ...extra,
  };
}
