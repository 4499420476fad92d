import { WcvmmError } from '../common/errors.ts';
import { ERRNO, SysError } from '../vmm/sys/port.ts';
import type { ErrnoName, Port } from '../vmm/sys/port.ts';

/** The code of the error that a call ends with; `none` where it ends well. */
export function codeOf(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    return error instanceof WcvmmError ? error.code : String(error);
  }
  return 'none';
}

/** That code with the sentence, or another error's. */
export function saidBy(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    return error instanceof WcvmmError ? `${error.code}: ${error.message}` : String(error);
  }
  return 'none';
}

export interface Stub {
  /** Answers of ioctls by request number: an errno's name to fail, or code that fills the argument in. */
  readonly ioctls?: Readonly<Record<number, ErrnoName | ((argument: Uint8Array | number) => number | void)>>;
  /** Files that can be opened; an errno's name makes open fail. */
  readonly nodes?: Readonly<Record<string, 'ok' | ErrnoName>>;
  /** Text files, by path. */
  readonly texts?: Readonly<Record<string, string>>;
  readonly links?: Readonly<Record<string, string>>;
  readonly folders?: Readonly<Record<string, readonly string[]>>;
  readonly mmap?: ErrnoName;
}

function fail(call: string, name: ErrnoName): never {
  throw new SysError(call, ERRNO[name]);
}

/** A kernel that knows only what it is told, and counts what it has given out. */
export function stubPort(stub: Stub): {
  port: Port;
  open: Set<number>;
  mapped: Map<bigint, bigint>;
  written: Map<string, string>;
  folders: Set<string>;
} {
  const open = new Set<number>();
  const mapped = new Map<bigint, bigint>();
  const written = new Map<string, string>();
  const folders = new Set<string>();
  let nextFd = 3;
  let nextAddress = 0x7f00_0000_0000n;
  const newFd = (): number => {
    open.add(nextFd);
    return nextFd++;
  };
  const port: Port = {
    open(path) {
      const node = stub.nodes?.[path];
      return node === 'ok' ? newFd() : fail(`open ${path}`, node ?? 'ENOENT');
    },
    close: (fd) => void open.delete(fd),
    ioctl(_fd, request, argument) {
      const answer = stub.ioctls?.[request];
      if (answer === undefined) return fail(`ioctl 0x${request.toString(16)}`, 'ENOTTY');
      return typeof answer === 'string' ? fail(`ioctl 0x${request.toString(16)}`, answer) : (answer(argument) ?? 0);
    },
    tryIoctl(fd, request, argument) {
      try {
        return port.ioctl(fd, request, argument);
      } catch (error) {
        if (error instanceof SysError) return -error.errno;
        throw error;
      }
    },
    mmap({ address, length, fd }) {
      if (stub.mmap !== undefined && fd >= 0) return fail('mmap', stub.mmap);
      if (address !== undefined) return address;
      nextAddress += 1n << 40n;
      mapped.set(nextAddress, length);
      return nextAddress;
    },
    madvise: () => {},
    munmap: (address) => void mapped.delete(address),
    pread: (_fd, into) => into.byteLength,
    pwrite: (_fd, from) => from.byteLength,
    read: () => fail('read', 'EAGAIN'),
    write: (_fd, from) => from.byteLength,
    memfd: newFd,
    eventfd: newFd,
    view: (_address, length) => new ArrayBuffer(length),
    addressOf: () => 0x1000n,
    readText: (path) => stub.texts?.[path] ?? fail(`read ${path}`, 'ENOENT'),
    writeText: (path, text) => void written.set(path, text),
    makeFolder: (path) => void folders.add(path),
    removeFolder: (path) => void folders.delete(path),
    list: (path) => stub.folders?.[path] ?? fail(`readdir ${path}`, 'ENOENT'),
    linkName: (path) => stub.links?.[path] ?? null,
    linkTarget: (path) => stub.links?.[path] ?? null,
    removeFile: (path) => void written.delete(path),
    exists: (path) =>
      [stub.nodes, stub.texts, stub.links, stub.folders].some((known) => known !== undefined && path in known),
  };
  return { port, open, mapped, written, folders };
}

/** VFIO drivers of vendors, as Linux names them, and one that a name does not tell as such. */
export const VENDOR_DRIVERS = [
  'mlx5_vfio_pci',
  'nvgrace_gpu_vfio_pci',
  'hisi_acc_vfio_pci',
  'virtio_vfio_pci',
  'pds_vfio_pci',
  'qat_vfio_pci',
  'xe-vfio-pci',
] as const;

/**
 * sysfs files of one device at 0000:01:00.0 with a 4 MiB BAR 2. `vfioClass` null: none of VFIO's, as without a VFIO driver
 * and before Linux 6.1; `member`: without a character device.
 */
export function stubDevice(
  driver: string | null,
  group: string | null,
  vfioClass: 'cdev' | 'member' | null = driver === 'vfio-pci' ? 'cdev' : null,
): Pick<Stub, 'texts' | 'links' | 'folders'> {
  const folder = '/sys/bus/pci/devices/0000:01:00.0';
  const absent = '0x0000000000000000 0x0000000000000000 0x0000000000000000';
  return {
    texts: {
      ...(vfioClass === 'cdev' && { [`${folder}/vfio-dev/vfio0/dev`]: '511:0\n' }),
      [`${folder}/vendor`]: '0x1af4\n',
      [`${folder}/device`]: '0x1110\n',
      [`${folder}/class`]: '0x050000\n',
      [`${folder}/resource`]: [
        absent,
        absent,
        '0x0000008000000000 0x00000080003fffff 0x000000000014220c',
        absent,
        absent,
        absent,
      ].join('\n'),
    },
    links: {
      ...(driver !== null && { [`${folder}/driver`]: driver }),
      ...(group !== null && { [`${folder}/iommu_group`]: group }),
    },
    folders: vfioClass === null ? {} : { [`${folder}/vfio-dev`]: ['vfio0'] },
  };
}
