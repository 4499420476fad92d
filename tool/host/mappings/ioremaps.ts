/** Mappings of the kernel's own: lines of /proc/vmallocinfo that drivers' ioremap() has made. Only root can read it. */
import { oneLine } from '../../verify/origin.ts';

export interface Ioremap {
  /** Physical bytes [start, start + length). */
  readonly start: bigint;
  readonly length: bigint;
  /** The function that asked for it, as `nvme_map_bar+0x3c/0x60 [nvme]`. */
  readonly caller: string;
}

const LINE = /^0x[0-9a-f]+-0x[0-9a-f]+ +(\d{1,15}) (.+?) phys=0x([0-9a-f]{1,16}) ioremap\b/;

/** s_show() (mm/vmalloc.c); each area ends with a guard page. @param pageSize bytes */
export function parseIoremaps(text: string, pageSize: number): readonly Ioremap[] {
  return text.split('\n').flatMap((line): Ioremap[] => {
    const [, size, caller = '', phys] = LINE.exec(line) ?? [];
    const length = BigInt(size ?? 0) - BigInt(pageSize);
    return length <= 0n ? [] : [{ start: BigInt(`0x${phys}`), length, caller: oneLine(caller, 128) ?? '?' }];
  });
}
