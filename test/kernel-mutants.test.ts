import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parseMutant, readMutants } from '../kernel-patches/tools/mutants/index.ts';
import { nameOf, programsOf } from '../kernel-patches/tools/selftests/programs.ts';
import { patchesFolder, patchesOf, readSeries, touchedFiles } from '../testbed/kernel/series.ts';
import { kernelOf } from '../testbed/machine/index.ts';

describe('mutants of the series', () => {
  it('name selftests that there are, on kernels that there are', async () => {
    const mutants = await readMutants();
    expect(mutants.length).toBeGreaterThan(0);
    for (const { fails, architectures } of mutants)
      for (const arch of architectures)
        expect(programsOf(kernelOf(arch)).map(nameOf)).toEqual(expect.arrayContaining([...fails]));
  });

  it('change nothing that the series does not change', async () => {
    const series = new Set((await readSeries()).flatMap(({ text }) => touchedFiles(text)));
    for (const { name } of await readMutants())
      for (const file of touchedFiles(readFileSync(join(patchesFolder, 'mutants', `${name}.patch`), 'utf8')))
        expect([...series]).toContain(file);
  });

  it('are kernels: the series and one patch more', async () => {
    const patches = await patchesOf('mutant-no-attributes', kernelOf('arm64'));
    expect(patches.slice(0, -1)).toEqual(await readSeries());
    expect(patches.at(-1)?.name).toBe('mutants/no-attributes.patch');
  });

  it('must say what fails, and where', () => {
    expect(parseMutant('a', 'x\n\nFails: b c\nArchitectures: x86\n')).toEqual({
      name: 'a',
      fails: ['b', 'c'],
      architectures: ['x86'],
    });
    expect(() => parseMutant('a', 'Fails: b\n')).toThrow('must have a line "Fails: SELFTEST');
  });
});
