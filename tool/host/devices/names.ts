/** What a class code means (PCI Code and ID Assignment Specification, section 1), as far as people look for it in a list. */
const EXACT: Readonly<Record<number, string>> = {
  0x0108: 'NVMe',
  0x0200: 'Ethernet',
  0x0207: 'InfiniBand',
  0x0300: 'VGA',
  0x0302: '3D',
};
const BASE: Readonly<Record<number, string>> = {
  0x01: 'storage',
  0x02: 'network',
  0x03: 'display',
  0x04: 'multimedia',
  0x05: 'memory',
  0x06: 'bridge',
  0x07: 'communication',
  0x08: 'system',
  0x09: 'input',
  0x0b: 'processor',
  0x0c: 'serial bus',
  0x0d: 'wireless',
  0x10: 'encryption',
  0x11: 'signal processing',
  0x12: 'accelerator',
  0xff: 'unassigned class',
};

export function className(code: number): string {
  return EXACT[code >> 8] ?? BASE[code >> 16] ?? `class ${code.toString(16).padStart(6, '0')}`;
}
