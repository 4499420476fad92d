import { describe, expect, it } from 'vitest';
import { programsFor, readPieceNames } from '../kernel-patches/tools/pieces/index.ts';
import { nameOf, selftestsOf } from '../kernel-patches/tools/selftests/programs.ts';
import { patchesOf, readSeries, type Patch } from '../testbed/kernel/series.ts';
import { kernelOf } from '../testbed/machine/index.ts';

const patchesOfPiece = async (name: string): Promise<Patch[]> => patchesOf(`piece-${name}`, kernelOf('arm64'));

describe('pieces of the series', () => {
  it('are the series, each patch in one of them', async () => {
    const names = await readPieceNames();
    expect(names).toContain('A-fixes');
    const patches = new Set((await Promise.all(names.map(patchesOfPiece))).flat().map(({ name }) => name));
    expect([...patches].toSorted()).toEqual((await readSeries()).map(({ name }) => name).toSorted());
  });

  it('have the pieces that they name below them, and no patch twice', async () => {
    const [fixes, objects] = await Promise.all([patchesOfPiece('A-fixes'), patchesOfPiece('C-mmap-objects')]);
    expect(objects.slice(0, fixes.length)).toEqual(fixes);
    for (const name of await readPieceNames()) {
      const patches = (await patchesOfPiece(name)).map((patch) => patch.name);
      expect(patches).toEqual([...new Set(patches)]);
    }
  });

  it('are tested by what is in Linux and what they bring, not by what others bring', async () => {
    const { programs } = selftestsOf('arm64');
    const series = await readSeries();
    const namesFor = async (piece: string): Promise<string[]> =>
      programsFor(programs, await patchesOfPiece(piece), series).map(nameOf);
    expect(programsFor(programs, series, series)).toEqual(programs);
    expect(await namesFor('A-fixes')).not.toContain('translate');
    expect(await namesFor('B-kvm-arm64')).toContain('translate');
    expect(await namesFor('C-mmap-objects')).not.toContain('vfio_pci_mmap_cookie_test');
    expect(await namesFor('D-mmap-cookies')).toContain('vfio_pci_mmap_cookie_test');
    expect(await namesFor('D-mmap-cookies')).not.toContain('vfio_mmap_attr_test');
    expect(await namesFor('A-fixes')).toContain('vfio_pci_device_test');
  });
});
