/** Where and when a report was made, so that two can be told apart by what they say. Files that are not there leave null. */
import { hostname } from 'node:os';
import { packageVersion } from '../../common/version.ts';
import { readOr } from '../../vmm/sys/attempt.ts';
import type { Port } from '../../vmm/sys/port.ts';
import type { Origin } from '../report/report.ts';
import type { VerifyArchitecture } from './arch/arch.ts';

const DMI = '/sys/class/dmi/id';
const LONGEST = 1024;
const LONGEST_FLAGS = 16_384;

/** @param asked the command line, as far as it is known: what stands after `wcvmm` */
export function originHere(
  port: Port,
  arch: Pick<VerifyArchitecture, 'cpu' | 'underHypervisor' | 'confidential'>,
  asked: readonly string[],
  now = new Date(),
): Origin {
  const text = (path: string): string | null => oneLine(readOr(port, path, ''));
  const named = (...names: readonly string[]): string | null =>
    oneLine(names.flatMap((name) => text(`${DMI}/${name}`) ?? []).join(' '));
  const kernel = text('/proc/version');
  return {
    host: oneLine(hostname()),
    machine: named('sys_vendor', 'product_name'),
    firmware: named('bios_vendor', 'bios_version'),
    hypervisor:
      arch.underHypervisor(port) ?? underNamedHypervisor(text(`${DMI}/sys_vendor`), text(`${DMI}/product_name`)),
    confidential: arch.confidential(port),
    cpu: arch.cpu(port),
    kernelBuild: kernel,
    series: kernel === null ? null : (/^Linux version \S+?-(wcvmm\S*)/.exec(kernel)?.[1] ?? null),
    wcvmm: packageVersion(),
    time: now.toISOString(),
    asked: asked.map(asLine),
  };
}

/** An argument of the command, fit for a report. */
export function asLine(argument: string): string {
  return oneLine(argument) ?? '';
}

/** What hypervisors give out as a machine's vendor. */
const HYPERVISORS =
  /^(?:QEMU|KVM|VMware|innotek GmbH|Parallels|Xen|OpenStack|Alibaba Cloud|Google|Hetzner|DigitalOcean|Bochs|BHYVE)/;

/** Instances of EC2 and of Azure have one vendor whether they are virtual or not. null: nothing says. */
function underNamedHypervisor(vendor: string | null, product: string | null): boolean | null {
  if (vendor === null) return null;
  if (vendor === 'Amazon EC2') return product === null ? null : !/\bmetal\b|\.metal/.test(product);
  if (vendor === 'Microsoft Corporation') return product === 'Virtual Machine' ? true : null;
  return HYPERVISORS.test(vendor) ? true : null;
}

/** What firmware, a user or the kernel wrote, fit for a report: its reader takes no control characters, and nothing long. */
export function oneLine(text: string, longest = LONGEST): string | null {
  const line = text
    .replaceAll(/[\p{Cc}\u{200E}\u{200F}\u{2028}-\u{202E}\u{2066}-\u{2069}]+/gu, ' ')
    .trim()
    .slice(0, longest);
  return line === '' ? null : line;
}

/** A field of /proc/cpuinfo's first processor, or null. */
export function cpuField(port: Port, name: string): string | null {
  const lines = readOr(port, '/proc/cpuinfo', '').split('\n');
  const line = lines.find((one) => one.split(':')[0]?.trim() === name);
  return line === undefined ? null : oneLine(line.slice(line.indexOf(':') + 1), LONGEST_FLAGS);
}
