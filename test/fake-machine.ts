import {
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join, relative } from 'node:path';
import { libcPort } from '../vmm/sys/libc.ts';
import { ERRNO, SysError } from '../vmm/sys/port.ts';
import type { ErrnoName, Port } from '../vmm/sys/port.ts';

export interface FakeDevice {
  readonly address: string;
  /** The driver that it has, and that the kernel would choose again unless `natural` names another. */
  readonly driver?: string;
  readonly natural?: string;
  readonly group?: string;
  readonly classCode?: string;
  readonly resource?: string;
  readonly config?: Uint8Array;
}

const ABSENT = '0x0000000000000000 0x0000000000000000 0x0000000000000000';
const RESOURCE = [
  ABSENT,
  ABSENT,
  '0x0000008000000000 0x00000080003fffff 0x000000000014220c',
  ABSENT,
  ABSENT,
  ABSENT,
].join('\n');
const DEVICES = '/sys/bus/pci/devices';

function fail(call: string, name: ErrnoName): never {
  throw new SysError(call, ERRNO[name]);
}

/** A machine's /sys, /proc and /run in a temporary folder, and of the kernel what binds drivers. */
export class FakeMachine {
  readonly root = mkdtempSync(join(tmpdir(), 'wcvmm-machine-'));
  readonly port: Port;
  /** Called before each write, with its number from 1; may throw. */
  onWrite: (count: number, path: string) => void = () => {};
  #writes = 0;
  readonly #natural = new Map<string, string>();

  constructor(
    devices: readonly FakeDevice[] = [],
    drivers: readonly string[] = ['vfio-pci', 'nvme', 'e1000e', 'pcieport'],
  ) {
    const at = (path: string): string => join(this.root, path);
    this.port = {
      ...libcPort,
      open: (path, flags) => libcPort.open(at(path), flags),
      readText: (path) => libcPort.readText(at(path)),
      list: (path) => libcPort.list(at(path)),
      linkName: (path) => libcPort.linkName(at(path)),
      linkTarget: (path) => libcPort.linkTarget(at(path)),
      exists: (path) => libcPort.exists(at(path)),
      makeFolder: (path) => libcPort.makeFolder(at(path)),
      removeFolder: (path) => libcPort.removeFolder(at(path)),
      removeFile: (path) => libcPort.removeFile(at(path)),
      writeText: (path, text) => {
        this.#writes += 1;
        this.onWrite(this.#writes, path);
        this.#write(path, text);
      },
    };
    for (const driver of drivers)
      for (const file of ['bind', 'unbind']) this.file(`/sys/bus/pci/drivers/${driver}/${file}`, '');
    this.file('/sys/bus/pci/drivers_probe', '');
    for (const device of devices) this.#add(device);
  }

  get writes(): number {
    return this.#writes;
  }

  file(path: string, content: string | Uint8Array): void {
    mkdirSync(join(this.root, dirname(path)), { recursive: true });
    writeFileSync(join(this.root, path), content);
  }

  /** A relative link, as sysfs has them; `target` is a path of the machine. */
  link(path: string, target: string): void {
    mkdirSync(join(this.root, dirname(path)), { recursive: true });
    symlinkSync(relative(dirname(path), target), join(this.root, path));
  }

  /** A link of exactly this text, as in /proc/PID/fd. */
  rawLink(path: string, text: string): void {
    mkdirSync(join(this.root, dirname(path)), { recursive: true });
    symlinkSync(text, join(this.root, path));
  }

  remove(): void {
    rmSync(this.root, { recursive: true, force: true });
  }

  /** What binding can change: drivers, overrides, and wcvmm's own files. */
  state(): object {
    const devices = readdirSync(join(this.root, DEVICES)).map((address) => {
      const folder = join(this.root, DEVICES, address);
      return [
        address,
        this.port.linkName(`${DEVICES}/${address}/driver`),
        readFileSync(join(folder, 'driver_override'), 'utf8'),
      ];
    });
    const own = this.port.exists('/run/wcvmm') ? this.port.list('/run/wcvmm') : [];
    return { devices, own };
  }

  folderOf(address: string): string {
    return `/sys/devices/pci0000:00/${address}`;
  }

  #add({
    address,
    driver,
    natural = driver,
    group,
    classCode = '0x010802',
    resource = RESOURCE,
    config,
  }: FakeDevice): void {
    const folder = this.folderOf(address);
    const files = {
      vendor: '0x1b36\n',
      device: '0x0010\n',
      class: `${classCode}\n`,
      resource: `${resource}\n`,
      driver_override: '(null)\n',
      ...(config && { config }),
    };
    for (const [name, content] of Object.entries(files)) this.file(`${folder}/${name}`, content);
    this.link(`${DEVICES}/${address}`, folder);
    if (natural !== undefined) this.#natural.set(address, natural);
    if (driver !== undefined) this.link(`${folder}/driver`, `/sys/bus/pci/drivers/${driver}`);
    if (group === undefined) return;
    this.link(`${folder}/iommu_group`, `/sys/kernel/iommu_groups/${group}`);
    this.link(`/sys/kernel/iommu_groups/${group}/devices/${address}`, folder);
  }

  /** The driver core's part (drivers/base/bus.c, drivers/pci/pci-driver.c). */
  #write(path: string, text: string): void {
    const word = text.trim();
    if (basename(path) === 'driver_override') this.file(path, word === '' ? '(null)\n' : `${word}\n`);
    else if (path === '/sys/bus/pci/drivers_probe')
      this.#bind(word, this.#override(word) ?? this.#natural.get(word) ?? null, path);
    else if (path.endsWith('/bind')) this.#bind(word, basename(dirname(path)), path);
    else if (path.endsWith('/unbind')) this.#unbind(word, basename(dirname(path)), path);
    else this.file(path, text);
  }

  #override(address: string): string | null {
    const text = this.port.readText(`${DEVICES}/${address}/driver_override`).trim();
    return text === '(null)' ? null : text;
  }

  #bind(address: string, driver: string | null, path: string): void {
    const override = this.#override(address);
    if (
      driver === null ||
      this.port.linkName(`${DEVICES}/${address}/driver`) !== null ||
      (override !== null && override !== driver)
    )
      fail(`write ${path}`, 'ENODEV');
    this.link(`${this.folderOf(address)}/driver`, `/sys/bus/pci/drivers/${driver}`);
  }

  #unbind(address: string, driver: string, path: string): void {
    const link = join(this.root, this.folderOf(address), 'driver');
    if (this.port.linkName(`${DEVICES}/${address}/driver`) !== driver || readlinkSync(link) === '')
      fail(`write ${path}`, 'ENODEV');
    unlinkSync(link);
  }
}
