import { spawnSync } from 'node:child_process';
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { cells, empty, strings, writeFdt } from '../vmm/boot/fdt.ts';
import type { FdtNode, FdtValue } from '../vmm/boot/fdt.ts';

const hasDtc = spawnSync('dtc', ['--version']).status === 0;
const skipped = hasDtc ? '' : ' (skipped: no dtc; it is in the Debian package device-tree-compiler)';

/** dtc's own reading of the bytes, or what it says against them. */
function decompile(bytes: Uint8Array): string {
  const { status, stdout, stderr } = spawnSync('dtc', ['-q', '-I', 'dtb', '-O', 'dts'], { input: bytes });
  if (status !== 0) throw new Error(stderr.toString());
  return stdout.toString();
}

/** The same tree as dtc compiles it from source. */
function compile(source: string): Uint8Array {
  const { status, stdout, stderr } = spawnSync('dtc', ['-q', '-I', 'dts', '-O', 'dtb'], { input: source });
  if (status !== 0) throw new Error(stderr.toString());
  return stdout;
}

const name = fc.stringMatching(/^[a-z][a-z0-9,-]{0,12}$/);
const text = fc.stringMatching(/^[ -!#-[\]-~]{1,20}$/);
const value: fc.Arbitrary<FdtValue> = fc.oneof(
  fc.constant(empty),
  fc.array(text, { minLength: 1, maxLength: 3 }).map((all) => strings(...all)),
  fc
    .array(fc.oneof(fc.nat(0xffff_ffff), fc.bigInt(0n, (1n << 64n) - 1n)), { minLength: 1, maxLength: 5 })
    .map((all) => cells(...all)),
);
function nodeOf(levels: number): fc.Arbitrary<FdtNode> {
  const children =
    levels === 0
      ? fc.constant([])
      : fc.uniqueArray(nodeOf(levels - 1), { maxLength: 3, selector: (child) => child.name });
  return fc.record({ name, properties: fc.dictionary(name, value, { maxKeys: 4 }), children });
}

/** As dtc's source language has it. */
function source({ name, properties = {}, children = [] }: FdtNode): string {
  const lines = Object.entries(properties).map(([property, value]) => `${property}${sourceValue(value)};`);
  return `${name === '' ? '/' : name} { ${lines.join(' ')} ${children.map(source).join(' ')} };`;
}

function sourceValue(value: FdtValue): string {
  if (value.kind === 'empty') return '';
  if (value.kind === 'strings') return ` = ${value.strings.map((one) => `"${one}"`).join(', ')}`;
  const words = value.cells.map((cell) =>
    typeof cell === 'bigint' ? `0x${(cell >> 32n).toString(16)} 0x${(cell & 0xffff_ffffn).toString(16)}` : String(cell),
  );
  return ` = <${words.join(' ')}>`;
}

describe.skipIf(!hasDtc)(`writeFdt and dtc${skipped}`, () => {
  test('dtc reads what is written as what dtc makes of the same tree itself', () => {
    fc.assert(
      fc.property(nodeOf(3), (tree) => {
        const root = { ...tree, name: '' };
        expect(decompile(writeFdt(root))).toBe(decompile(compile(`/dts-v1/; ${source(root)}`)));
      }),
      { numRuns: 60 },
    );
  });

  test('a node is found by its label', () => {
    const written = writeFdt({
      name: '',
      properties: { 'interrupt-parent': cells({ phandleOf: 'gic' }), clocks: cells({ phandleOf: 'clock' }, 7) },
      children: [
        { name: 'clock', label: 'clock' },
        { name: 'gic@8000000', label: 'gic', properties: { 'interrupt-controller': empty } },
      ],
    });
    expect(decompile(written)).toBe(
      decompile(
        compile(
          '/dts-v1/; / { interrupt-parent = <2>; clocks = <1 7>; clock { phandle = <1>; }; gic@8000000 { interrupt-controller; phandle = <2>; }; };',
        ),
      ),
    );
  });
});

test.each([
  ['a label that no node has', { name: '', properties: { a: cells({ phandleOf: 'b' }) } }],
  [
    'a label that two have',
    {
      name: '',
      children: [
        { name: 'a', label: 'x' },
        { name: 'b', label: 'x' },
      ],
    },
  ],
  ['a NUL', { name: '', properties: { bootargs: strings('a\0b') } }],
  ['a number that is no cell', { name: '', properties: { a: cells(2 ** 32) } }],
  ['a bigint that is not 64 bits', { name: '', properties: { a: cells(1n << 64n) } }],
] as const)('%s is refused', (_what, root) => {
  expect(() => writeFdt(root)).toThrow(RangeError);
});
