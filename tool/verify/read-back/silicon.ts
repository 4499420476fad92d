/** What this machine says of its silicon, from sysfs. */
import { hazardsOf } from '../../../memattr/index.ts';
import type { Hazard, Silicon } from '../../../memattr/index.ts';
import { attempt, readOr } from '../../../vmm/sys/attempt.ts';
import { isBridge, pciAddresses, readPciDevice } from '../../../vmm/sys/pci.ts';
import type { Port } from '../../../vmm/sys/port.ts';

const CPUS = '/sys/devices/system/cpu';
const SOC = '/sys/devices/soc0';

export function hazardsHere(port: Port): readonly Hazard[] {
  return hazardsOf(siliconHere(port));
}

export function siliconHere(port: Port): Silicon {
  const soc = readOr(port, `${SOC}/soc_id`, '').trim();
  return {
    midrs: midrs(port),
    soc: /^jep106:[0-9a-f]{4}:[0-9a-f]{4}$/.test(soc) ? soc : null,
    socRevision: numberOf(readOr(port, `${SOC}/revision`, '')),
    rootPorts: rootPorts(port),
  };
}

/** Cores of several kinds may stand in one machine. */
function midrs(port: Port): readonly bigint[] {
  const cpus = (attempt(() => port.list(CPUS)) ?? []).filter((name) => /^cpu\d+$/.test(name));
  const found = cpus.map((cpu) => readOr(port, `${CPUS}/${cpu}/regs/identification/midr_el1`, '').trim());
  return [...new Set(found.filter((text) => /^0x[0-9a-f]{1,16}$/.test(text)))].map(BigInt);
}

function numberOf(text: string): number | null {
  const trimmed = text.trim();
  return /^(?:0x[0-9a-f]{1,8}|\d{1,10})$/.test(trimmed) ? Number(trimmed) : null;
}

/** A device of a root bus stands right below its host bridge's folder: /sys/devices/.../pciDDDD:BB/ADDRESS. */
function rootPorts(port: Port): readonly string[] {
  const ids = pciAddresses(port).flatMap((address) => {
    const target = attempt(() => port.linkTarget(`/sys/bus/pci/devices/${address}`)) ?? '';
    if (!/^pci[0-9a-f]{4,}:[0-9a-f]{2}$/.test(target.split('/').at(-2) ?? '')) return [];
    const device = attempt(() => readPciDevice(port, address));
    return device !== null && isBridge(device) ? [device.id] : [];
  });
  return [...new Set(ids)];
}
