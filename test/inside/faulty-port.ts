import { ioctlName } from '../../vmm/sys/ioctl-names.ts';
import { SysError } from '../../vmm/sys/port.ts';
import type { Port } from '../../vmm/sys/port.ts';

const KVM_SET_USER_MEMORY_REGION = 0x4020ae46;
const KVM_CREATE_DEVICE = 0xc00caee0;
const KVM_IRQFD = 0x4020ae76;
const VFIO_DEVICE_SET_IRQS = 0x3b6e;

const VFIO_DEVICE_FEATURE = 0x3b75;
const FEATURE_DMA_BUF = 11;
const IOMMU_IOAS_UNMAP = 0x3b86;
const VFIO_IOMMU_UNMAP_DMA = 0x3b72;

/** Taking back an irqfd or a mapping, and switching a device's interrupts off. */
function isGivingBack(request: number, view: DataView): boolean {
  if (request === IOMMU_IOAS_UNMAP || request === VFIO_IOMMU_UNMAP_DMA) return true;
  if (request === KVM_IRQFD) return view.getUint32(8, true) === 1;
  return request === VFIO_DEVICE_SET_IRQS && view.getUint32(16, true) === 0;
}

/** Each makes the call fail, where it is its turn. */
interface Fail {
  readonly step: (name: string) => void;
  readonly givenBack: (name: string) => void;
}

/** What is still held: everything that a caller got and has not given back. */
export interface Holdings {
  readonly fds: readonly string[];
  readonly mappings: readonly string[];
  readonly memslots: readonly string[];
}

/** The errno that a call is to fail with; null: it is made. */
export type Fault = (call: string) => number | null;

/**
 * Which calls can fail. An ioctl that gives something back and fails is not made; what it was to give back is then no holding: it
 * goes with its file, unless somebody tries again. What else gives back, as close(2), is made all the same.
 */
export type Fallible = 'taking' | 'giving back';

/**
 * A port over a real one that makes call number `failing` fail with `errno`, and keeps account of what is held.
 * `calls` tells how many fallible calls there were. A function instead of a number is asked about every call, those too that
 * nobody can do without failing and that `failing` does not count: lists, links, KVM_RUN.
 */
export class FaultyPort {
  readonly port: Port;
  calls = 0;
  failed: string | null = null;
  readonly #fds = new Map<number, string>();
  readonly #mappings = new Map<bigint, bigint>();
  readonly #memslots = new Map<string, string>();

  constructor(real: Port, failing: number | Fault, errno = 0, fallible: Fallible = 'taking') {
    const fails = (name: string, found: number): SysError => {
      this.failed = name;
      return new SysError(`${name} (made to fail)`, found);
    };
    const count = (name: string): void => {
      this.calls += 1;
      if (typeof failing === 'number') {
        if (this.calls === failing) throw fails(name, errno);
        return;
      }
      const found = failing(name);
      if (found !== null) throw fails(name, found);
    };
    const soft = (name: string): void => {
      if (typeof failing !== 'number') step(name);
    };
    const step = (name: string): void => {
      if (fallible === 'taking') count(name);
    };
    const givenBack = (name: string): void => {
      if (fallible === 'giving back') count(name);
    };
    this.port = {
      ...real,
      open: (path, flags) => this.#opened((step(`open ${path}`), real.open(path, flags)), path),
      eventfd: () => this.#opened((step('eventfd'), real.eventfd()), 'eventfd'),
      memfd: (name, length) => this.#opened((step('memfd'), real.memfd(name, length)), name),
      close: (fd) => {
        real.close(fd);
        this.#fds.delete(fd);
        // With a VM its memslots go.
        for (const key of this.#memslots.keys()) if (key.startsWith(`${fd}:`)) this.#memslots.delete(key);
        givenBack('close');
      },
      ioctl: (fd, request, argument) => this.#ioctl(real, { step, givenBack }, fd, request, argument),
      tryIoctl: (fd, request, argument) => {
        try {
          soft(ioctlName(request));
        } catch (error) {
          if (error instanceof SysError) return -error.errno;
          throw error;
        }
        return real.tryIoctl(fd, request, argument);
      },
      mmap: (request) => {
        step('mmap');
        const address = real.mmap(request);
        if (request.address === undefined) this.#mappings.set(address, request.length);
        return address;
      },
      madvise: (address, length, advice) => (step('madvise'), real.madvise(address, length, advice)),
      munmap: (address, length) => {
        real.munmap(address, length);
        this.#mappings.delete(address);
        givenBack('munmap');
      },
      pread: (fd, into, offset) => (step('pread'), real.pread(fd, into, offset)),
      pwrite: (fd, from, offset) => (step('pwrite'), real.pwrite(fd, from, offset)),
      read: (fd, into) => (step('read'), real.read(fd, into)),
      write: (fd, from) => (step('write'), real.write(fd, from)),
      makeFolder: (path) => (step(`mkdir ${path}`), real.makeFolder(path)),
      readText: (path) => (step(`read ${path}`), real.readText(path)),
      writeText: (path, text) => {
        // Switching a device off again is giving back.
        const givesBack = text === '0';
        if (!givesBack) step(`write ${path}`);
        real.writeText(path, text);
        if (givesBack) givenBack(`write ${path}`);
      },
      list: (path) => (soft(`readdir ${path}`), real.list(path)),
      linkName: (path) => (soft(`readlink ${path}`), real.linkName(path)),
      linkTarget: (path) => (soft(`readlink ${path}`), real.linkTarget(path)),
      removeFile: (path) => (soft(`unlink ${path}`), real.removeFile(path)),
    };
  }

  #opened(fd: number, what: string): number {
    this.#fds.set(fd, what);
    return fd;
  }

  #ioctl(real: Port, fail: Fail, fd: number, request: number, argument: Uint8Array | number): number {
    const isSlot = request === KVM_SET_USER_MEMORY_REGION && typeof argument !== 'number';
    const view = typeof argument === 'number' ? null : new DataView(argument.buffer, argument.byteOffset);
    const deletes = isSlot && view?.getBigUint64(16, true) === 0n;
    const givesBack = deletes || (view !== null && isGivingBack(request, view));
    const name = ioctlName(request);
    const slot = isSlot && view !== null ? `${fd}:${view.getUint32(0, true)}` : null;
    if (deletes && slot !== null) this.#memslots.delete(slot);
    if (givesBack) fail.givenBack(name);
    else fail.step(name);
    const result = real.ioctl(fd, request, argument);
    if (slot !== null && !deletes && view !== null)
      this.#memslots.set(slot, `gpa 0x${view.getBigUint64(8, true).toString(16)}`);
    const isDmaBuf = request === VFIO_DEVICE_FEATURE && ((view?.getUint32(4, true) ?? 0) & 0xffff) === FEATURE_DMA_BUF;
    if (isDmaBuf) this.#opened(result, 'a DMA-buf');
    // These make file descriptors: KVM_CREATE_DEVICE in its argument; KVM_CREATE_VM, KVM_CREATE_VCPU, VFIO_GROUP_GET_DEVICE_FD.
    if (request === KVM_CREATE_DEVICE && view !== null) this.#opened(view.getUint32(4, true), 'KVM_CREATE_DEVICE');
    if ([0xae01, 0xae41, 0x3b6a].includes(request)) this.#opened(result, name);
    return result;
  }

  held(): Holdings {
    return {
      fds: [...this.#fds.values()],
      mappings: [...this.#mappings].map(([address, length]) => `0x${address.toString(16)}+${length}`),
      memslots: [...this.#memslots.values()],
    };
  }
}
