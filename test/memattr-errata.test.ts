import { describe, expect, test } from 'vitest';
import { PROBES, TRAPPED, arm64, errata, translationErrata } from '../memattr/index.ts';
import type { ErratumCheck } from '../memattr/index.ts';

const cell: ErratumCheck = {
  probe: 'zero-block',
  stage1: 'Normal-NC',
  stage2: 'Device-nGnRE',
  effective: 'Device-nGnRE',
  predicted: 'alignment-fault',
  observed: 'ok',
};
const excusing = (check: ErratumCheck): readonly string[] =>
  errata.filter((erratum) => erratum.matches(check)).map(({ id }) => id);

describe('errata', () => {
  test('have names of their own and say what differs', () => {
    expect(errata.map(({ id }) => id)).toEqual([
      'qemu-dc-zva-device',
      'qemu-simd-half-aligned',
      'qemu-device-alignment-trapped',
    ]);
    for (const { text } of errata) expect(text).toMatch(/QEMU .*the architecture requires .*\.$/);
  });

  test('excuse one probe each, for a fault that was not raised', () => {
    for (const probe of PROBES)
      expect(excusing({ ...cell, probe }).length).toBe(['zero-block', 'simd-half-aligned'].includes(probe) ? 1 : 0);
    expect(excusing({ ...cell, predicted: 'vm-killed' })).toEqual(['qemu-dc-zva-device']);
  });

  test('where accesses are trapped, excuse the end of a VM for a fault that was not raised', () => {
    const trapped = { ...cell, stage2: TRAPPED, observed: 'vm-killed' } as const;
    for (const probe of PROBES)
      expect(excusing({ ...trapped, probe })).toEqual(
        ['zero-block', 'simd-half-aligned'].includes(probe) ? ['qemu-device-alignment-trapped'] : [],
      );
    expect(excusing({ ...trapped, predicted: 'ok' })).toEqual([]);
    expect(excusing({ ...trapped, predicted: 'external-abort' })).toEqual([]);
  });

  test('excuse no other deviation', () => {
    expect(excusing({ ...cell, observed: 'wrong-data' })).toEqual([]);
    expect(excusing({ ...cell, observed: 'vm-killed' })).toEqual([]);
    expect(excusing({ ...cell, predicted: 'ok', observed: 'alignment-fault' })).toEqual([]);
    expect(excusing({ ...cell, predicted: 'ok' })).toEqual([]);
  });

  test('are of the emulator on which they were seen', () => {
    for (const { emulator } of errata)
      expect(
        ['qemu-10.0.2', 'qemu-9.2.0', 'qemu-100.0', 'bochs-2.7', 'qemu', 'my-qemu-10.0.2'].map((name) =>
          emulator.test(name),
        ),
      ).toEqual([true, false, false, false, false, false]);
  });
});

describe('errata of AT S12E1R', () => {
  const names = [...arm64.stage1Types, ...arm64.stage2Types({ fwb: false, faultForwarding: null, mte: false })].map(
    (type) => (typeof type === 'string' ? type : type.name),
  );
  const all = names.flatMap((stage1) =>
    names.flatMap((stage2) =>
      names.flatMap((predicted) => names.map((observed) => ({ stage1, stage2, predicted, observed }))),
    ),
  );

  test('excuse one combination each', () => {
    expect(translationErrata.map((one) => all.find((check) => one.matches(check)))).toEqual([
      { stage1: 'Device-GRE', stage2: 'Normal-NC', predicted: 'Device-GRE', observed: 'Device-nGnRE' },
      { stage1: 'Device-nGnRnE', stage2: 'Device-nGnRE', predicted: 'Device-nGnRnE', observed: 'Device-nGnRE' },
    ]);
    for (const one of translationErrata)
      expect(new Set(all.filter((check) => one.matches(check)).map((check) => JSON.stringify(check))).size).toBe(1);
  });

  test('say what differs, and are of the emulator on which they were seen', () => {
    expect(translationErrata.map(({ id }) => id)).toEqual(['qemu-translate-gre', 'qemu-translate-ngnrne']);
    for (const { text, emulator } of translationErrata) {
      expect(text).toMatch(/QEMU .*the architecture requires .*\.$/);
      expect(['qemu-10.0.2', 'qemu-9.2.0', 'bochs-2.7'].map((name) => emulator.test(name))).toEqual([
        true,
        false,
        false,
      ]);
    }
  });
});
