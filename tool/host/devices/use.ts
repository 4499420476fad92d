/** What the running system uses a device for, from sysfs and procfs. Nothing is opened for writing. */
import { attempt, readOr } from '../../../vmm/sys/attempt.ts';
import { O_EXCL, O_RDONLY } from '../../../vmm/sys/libc.ts';
import { groupMembers, pciFolder } from '../../../vmm/sys/pci.ts';
import type { PciDevice } from '../../../vmm/sys/pci.ts';
import { isErrno } from '../../../vmm/sys/port.ts';
import type { Port } from '../../../vmm/sys/port.ts';

const BLOCK = '/sys/class/block';
const NET = '/sys/class/net';
const GRAPHICS = '/sys/class/graphics';
const IFF_UP = 1;
const DISPLAY = 0x03;

function listOr(port: Port, path: string): readonly string[] {
  return attempt(() => port.list(path)) ?? [];
}

function linkOr(port: Port, path: string): string | null {
  return attempt(() => port.linkTarget(path));
}

/** Members of a class whose sysfs link leads through the device's folder. */
function below(port: Port, folder: string, address: string): readonly string[] {
  return listOr(port, folder).filter(
    (name) => linkOr(port, `${folder}/${name}`)?.split('/').includes(address) === true,
  );
}

/** With NVMe multipath the disk is nvme0n1, a virtual device, and what the PCI device has is its path nvme0c1n1. */
function diskOfPath(name: string): string {
  return name.replace(/^(nvme\d+)c\d+(n\d+)/, '$1$2');
}

/** Disks and partitions of the device, and all that is stacked on them (dm, md, bcache), by name. */
export function blockDevices(port: Port, address: string): readonly string[] {
  const found = new Set<string>();
  const visit = (name: string): void => {
    if (found.has(name)) return;
    found.add(name);
    for (const holder of listOr(port, `${BLOCK}/${name}/holders`)) visit(holder);
    for (const child of listOr(port, `${BLOCK}/${name}`))
      if (port.exists(`${BLOCK}/${name}/${child}/partition`)) visit(child);
  };
  for (const name of below(port, BLOCK, address)) visit(diskOfPath(name));
  return [...found];
}

interface Mount {
  readonly device: string;
  readonly source: string;
  readonly point: string;
}

/** proc_pid_mountinfo(5): id, parent, major:minor, root, mount point, options, optional fields, "-", type, source, options. */
export function parseMountinfo(text: string): readonly Mount[] {
  return text.split('\n').flatMap((line): Mount[] => {
    const [before = '', after = ''] = line.split(' - ');
    const [, , device, , point] = before.split(' ');
    const source = after.split(' ')[1];
    return device === undefined || point === undefined || source === undefined ? [] : [{ device, source, point }];
  });
}

/** Of the first process too: this one may see fewer mounts. */
function mounts(port: Port): readonly Mount[] {
  return ['/proc/1/mountinfo', '/proc/self/mountinfo'].flatMap((path) => parseMountinfo(readOr(port, path, '')));
}

function blockUses(port: Port, address: string): readonly string[] {
  const names = blockDevices(port, address);
  if (names.length === 0) return [];
  const mounted = mounts(port);
  const swaps = new Set(
    readOr(port, '/proc/swaps', '')
      .split('\n')
      .map((line) => line.split(/\s/)[0]),
  );
  const uses = names.flatMap((name): string[] => {
    const number = readOr(port, `${BLOCK}/${name}/dev`, '').trim();
    // btrfs mounts under a number of its own, and names the disk as its source.
    const at = mounted
      .filter(({ device, source }) => device === number || source === `/dev/${name}`)
      .map(({ point }) => point);
    const holders = listOr(port, `${BLOCK}/${name}/holders`);
    return [
      ...(at.length > 0 ? [`${name} is mounted on ${[...new Set(at)].join(', ')}`] : []),
      ...(swaps.has(`/dev/${name}`) ? [`${name} is swap`] : []),
      ...(holders.length > 0 ? [`${name} is part of ${holders.join(', ')}`] : []),
    ];
  });
  return uses.length > 0
    ? uses
    : names
        .filter((name) => isClaimed(port, name))
        .map((name) => `${name} is in use by the kernel (it cannot be opened exclusively)`);
}

/** A mount in another namespace or a ZFS pool shows nowhere above, but it claims the disk. */
function isClaimed(port: Port, name: string): boolean {
  try {
    port.close(port.open(`/dev/${name}`, O_RDONLY | O_EXCL));
    return false;
  } catch (error) {
    return isErrno(error, 'EBUSY');
  }
}

function netUses(port: Port, address: string): readonly string[] {
  return below(port, NET, address)
    .filter((name) => (Number(readOr(port, `${NET}/${name}/flags`, '')) & IFF_UP) !== 0)
    .map((name) => `the network interface ${name} is up`);
}

function displayUses(port: Port, { address, classCode }: PciDevice): readonly string[] {
  if (classCode >> 16 !== DISPLAY) return [];
  const console =
    readOr(port, `${pciFolder(address)}/boot_vga`, '').trim() === '1' || below(port, GRAPHICS, address).length > 0;
  return console ? ['it is the GPU of the console'] : [];
}

function virtualFunctions(port: Port, address: string): readonly string[] {
  const count = Number(readOr(port, `${pciFolder(address)}/sriov_numvfs`, ''));
  return count > 0 ? [`it has ${count} virtual functions (sriov_numvfs)`] : [];
}

/** Processes that have the device or its group open through VFIO: unbinding would wait for them. */
function vfioUses(port: Port, { hasVfioDriver, vfioCdev, iommuGroup }: PciDevice): readonly string[] {
  // This looks at the files of all processes: only for a device that can be among them.
  if (!hasVfioDriver) return [];
  const nodes = new Set([
    ...(vfioCdev === null ? [] : [`/dev/vfio/devices/${vfioCdev}`]),
    ...(iommuGroup === null ? [] : [`/dev/vfio/${iommuGroup}`, `/dev/vfio/noiommu-${iommuGroup}`]),
  ]);
  return listOr(port, '/proc').flatMap((pid): string[] => {
    if (!/^\d+$/.test(pid)) return [];
    const holds = listOr(port, `/proc/${pid}/fd`).some((fd) => nodes.has(linkOr(port, `/proc/${pid}/fd/${fd}`) ?? ''));
    return holds ? [`process ${pid} (${readOr(port, `/proc/${pid}/comm`, '').trim()}) has it open`] : [];
  });
}

/** Sentences that each name one use; empty where nothing that can be seen uses the device. */
export function usesOf(port: Port, device: PciDevice): readonly string[] {
  const { address } = device;
  return [
    ...blockUses(port, address),
    ...netUses(port, address),
    ...displayUses(port, device),
    ...virtualFunctions(port, address),
    ...vfioUses(port, device),
  ];
}

/** Who else is in the device's IOMMU group. */
export function groupOthers(port: Port, { address }: PciDevice): readonly string[] {
  return groupMembers(port, address).filter((member) => member !== address);
}
