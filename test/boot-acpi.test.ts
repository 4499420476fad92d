import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as fc from 'fast-check';
import { afterAll, describe, expect, test } from 'vitest';
import { acpiTables } from '../vmm/boot/acpi-tables.ts';
import { device, integer, named, packageOf, scope } from '../vmm/boot/aml.ts';
import { dsdtTerms } from '../vmm/boot/dsdt.ts';

const hasIasl = spawnSync('iasl', ['-v']).status === 0;
const skipped = hasIasl ? '' : ' (skipped: no iasl; it is in the Debian package acpica-tools)';
const folder = mkdtempSync(join(tmpdir(), 'wcvmm-acpi-'));
afterAll(() => rmSync(folder, { recursive: true }));

const AT = 0xe0000n;

const machine = (cpus: number, dsdt = dsdtTerms({ pci: PCI, serial: { port: 0x3f8, interrupt: 4 } })) => ({
  dsdt,
  cpus,
  localApic: 0xfee0_0000,
  ioApic: { base: 0xfec0_0000, id: 0 },
  isaInterrupts: [4],
  ecam: { base: 0xe000_0000n, lastBus: 15 },
  sleepControl: 0x600,
  sleepStatus: 0x601,
  reset: { port: 0x602, value: 1 },
});

const PCI = {
  ecam: { from: 0xe000_0000n, length: 0x100_0000n },
  buses: 16,
  memory32: { from: 0xc000_0000n, length: 0x2000_0000n },
  memory64: { from: 0x40_0000_0000n, length: 0x40_0000_0000n },
};

/** The tables by signature, found as an operating system does. */
function tablesOf(bytes: Uint8Array): ReadonlyMap<string, Uint8Array> {
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  const tableAt = (address: bigint): Uint8Array => {
    const at = Number(address - AT);
    return bytes.subarray(at, at + view.getUint32(at + 4, true));
  };
  const xsdt = tableAt(view.getBigUint64(24, true));
  const others = Array.from({ length: (xsdt.length - 36) / 8 }, (_, index) =>
    tableAt(new DataView(xsdt.buffer, xsdt.byteOffset).getBigUint64(36 + index * 8, true)),
  );
  const [fadt] = others;
  if (fadt === undefined) throw new Error('an XSDT without tables');
  const dsdt = tableAt(new DataView(fadt.buffer, fadt.byteOffset).getBigUint64(140, true));
  return new Map([xsdt, dsdt, ...others].map((table) => [Buffer.from(table.subarray(0, 4)).toString(), table]));
}

/** iasl's source for a table. Throws what it says against it. */
function disassemble(table: Uint8Array): string {
  const path = join(folder, 'table.dat');
  for (const name of readdirSync(folder)) rmSync(join(folder, name));
  writeFileSync(path, table);
  const { status, stdout, stderr } = spawnSync('iasl', ['-d', path], { encoding: 'utf8' });
  const said = stdout + stderr;
  if (status !== 0 || /error|warning|invalid|incorrect/i.test(said)) throw new Error(said);
  return readFileSync(join(folder, 'table.dsl'), 'utf8');
}

/** Bytes that iasl makes of that source again: what it disassembles wrongly would not come back as it was. */
function reassemble(): Uint8Array {
  const { stdout, stderr } = spawnSync('iasl', ['-oa', join(folder, 'table.dsl')], { encoding: 'utf8' });
  const said = stdout + stderr;
  if (!/0 Errors, 0 Warnings/.test(said)) throw new Error(said);
  return readFileSync(join(folder, 'table.aml'));
}

describe.skipIf(!hasIasl)(`ACPI's tables and iasl${skipped}`, () => {
  const tables = tablesOf(acpiTables(machine(4), AT));

  test('there are those that a hardware-reduced machine needs, and iasl reads each', () => {
    expect([...tables.keys()].sort()).toEqual(['APIC', 'DSDT', 'FACP', 'MCFG', 'XSDT']);
    const fadt = disassemble(tables.get('FACP') ?? new Uint8Array());
    expect(fadt).toMatch(/Hardware Reduced \(V5\) : 1$/m);
    expect(fadt).toMatch(/Reset Register Supported \(V2\) : 1$/m);
    expect(fadt).toMatch(/Address : 0000000000000600$/m);
    const madt = disassemble(tables.get('APIC') ?? new Uint8Array());
    expect(madt.match(/Processor Enabled : 1/g)).toHaveLength(4);
    expect(madt).toMatch(/Subtable Type : 02 \[Interrupt Source Override\]/);
    expect(disassemble(tables.get('MCFG') ?? new Uint8Array())).toMatch(/Base Address : 00000000E0000000/);
  });

  test('the DSDT is what iasl makes of its own source for it', () => {
    const dsdt = tables.get('DSDT') ?? new Uint8Array();
    const source = disassemble(dsdt);
    for (const part of ['PNP0A08', '0x0000004000000000', 'PNP0C02', '0x03F8', 'Name (_S5'])
      expect(source).toContain(part);
    // The header has the compiler's own name.
    expect(reassemble().subarray(36)).toEqual(Buffer.from(dsdt.subarray(36)));
  });

  test('numbers and packages of every size', () => {
    fc.assert(
      fc.property(fc.array(fc.bigInt(0n, (1n << 64n) - 1n), { maxLength: 255 }), (numbers) => {
        const terms = scope('_SB', device('DEV', named('NUMS', packageOf(...numbers.map(integer)))));
        const dsdt = tablesOf(acpiTables(machine(1, terms), AT)).get('DSDT') ?? new Uint8Array();
        const [, found = ''] = /Name \(NUMS, Package \(.*?\)\s*\{(.*?)\}/s.exec(disassemble(dsdt)) ?? [];
        const words = found.split(/[\s,]+|\/\/ .*/).filter((word) => word !== '');
        expect(words.map(numberOf)).toEqual(numbers);
      }),
      { numRuns: 40 },
    );
  });
});

/** As iasl writes it. */
function numberOf(word: string): bigint {
  if (word === 'Zero') return 0n;
  return word === 'One' ? 1n : BigInt(word);
}

function sum(bytes: Uint8Array): number {
  return bytes.reduce((all, byte) => (all + byte) & 0xff, 0);
}

test('every checksum is right, for 1 to 16 CPUs', () => {
  for (let cpus = 1; cpus <= 16; cpus += 1) {
    const bytes = acpiTables(machine(cpus), AT);
    expect([sum(bytes.subarray(0, 20)), sum(bytes.subarray(0, 36))]).toEqual([0, 0]);
    for (const table of tablesOf(bytes).values()) expect(sum(table)).toBe(0);
  }
});
