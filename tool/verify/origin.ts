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
  arch: Pick<VerifyArchitecture, 'cpu' | 'underHypervisor'>,
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
    hypervisor: arch.underHypervisor(port),
    cpu: arch.cpu(port),
    kernelBuild: kernel,
    series: kernel === null ? null : (/^Linux version \S+?-(wcvmm\S*)/.exec(kernel)?.[1] ?? null),
    wcvmm: packageVersion(),
    time: now.toISOString(),
    asked: asked.map((argument) => oneLine(argument) ?? ''),
  };
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
