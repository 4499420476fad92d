import { afterEach, describe, expect, test } from 'vitest';
import { bsaRules, bsaRulesOf, hazardsOf, hazardsOfType } from '../memattr/index.ts';
import type { Silicon } from '../memattr/index.ts';
import { hazardsHere, siliconHere } from '../tool/verify/read-back/silicon.ts';
import { FakeMachine } from './fake-machine.ts';

const NONE: Silicon = { midrs: [], soc: null, socRevision: null, rootPorts: [] };
const OLYMPUS = 0x4e0f_0100n;
const NEOVERSE_N1 = 0x414f_d0c1n;
const NEOVERSE_V2 = 0x410f_d4f0n;
const VERA = 'jep106:036b:0410';

describe('silicon on which a memory type does harm', () => {
  test.each<[string, Partial<Silicon>, readonly (readonly [string, boolean])[]]>([
    ['nothing known', {}, []],
    ['a Neoverse V2', { midrs: [NEOVERSE_V2], soc: 'jep106:043b:0001', socRevision: 0 }, []],
    [
      'Vera',
      { midrs: [OLYMPUS], soc: VERA, socRevision: 4 },
      [
        ['nvidia-vera-partial-nc-writes', true],
        ['nvidia-olympus-1027', true],
      ],
    ],
    ['Vera, mended', { midrs: [OLYMPUS], soc: VERA, socRevision: 5 }, [['nvidia-olympus-1027', true]]],
    [
      'Vera of no revision',
      { midrs: [OLYMPUS], soc: VERA },
      [
        ['nvidia-vera-partial-nc-writes', false],
        ['nvidia-olympus-1027', true],
      ],
    ],
    [
      'a guest on Vera, which sees no SoC id',
      { midrs: [OLYMPUS] },
      [
        ['nvidia-vera-partial-nc-writes', false],
        ['nvidia-olympus-1027', true],
      ],
    ],
    [
      'another SoC of Olympus cores',
      { midrs: [OLYMPUS], soc: 'jep106:036b:0411', socRevision: 0 },
      [['nvidia-olympus-1027', true]],
    ],
    ['Altra by its root port', { rootPorts: ['1b36:000c', '1def:e101'] }, [['ampere-altra-pcie-65', true]]],
    ['Altra by its SoC id', { midrs: [NEOVERSE_N1], soc: 'jep106:0a16:0001' }, [['ampere-altra-pcie-65', true]]],
    ['AmpereOne', { midrs: [0xc00f_ac30n], soc: 'jep106:0a16:0002', rootPorts: ['1def:e200'] }, []],
    ['eMAG', { rootPorts: ['1def:e005'] }, []],
    ['another Neoverse N1', { midrs: [NEOVERSE_N1] }, []],
    ['a part of that number by another', { midrs: [0x410f_0100n, 0x4e0f_d0c0n], soc: 'jep106:0a16:0001' }, []],
    ['another part by the same', { midrs: [0x4e0f_0110n, 0x410f_d0d0n], soc: 'jep106:0a16:0001' }, []],
    [
      'Altra beside other cores',
      { midrs: [NEOVERSE_V2, NEOVERSE_N1], soc: 'jep106:0a16:0001' },
      [['ampere-altra-pcie-65', true]],
    ],
  ])('%s', (_name, silicon, found) => {
    expect(hazardsOf({ ...NONE, ...silicon }).map(({ id, certain }) => [id, certain])).toEqual(found);
  });

  test('what is dangerous goes with the type', () => {
    const hazards = hazardsOf({ ...NONE, midrs: [OLYMPUS], soc: VERA, socRevision: 0 });
    const ids = (type: string): readonly string[] => hazardsOfType(hazards, type).map(({ id }) => id);
    expect(ids('Normal-NC')).toEqual(['nvidia-vera-partial-nc-writes']);
    expect(ids('Device-nGnRE')).toEqual(['nvidia-olympus-1027']);
    expect(ids('unknown')).toEqual([]);
  });
});

describe('what a machine says of its silicon', () => {
  const machines: FakeMachine[] = [];
  afterEach(() => {
    for (const machine of machines.splice(0)) machine.remove();
  });

  function machine(): FakeMachine {
    const made = new FakeMachine([{ address: '0000:00:01.0', classCode: '0x060400' }, { address: '0000:00:02.0' }]);
    machines.push(made);
    return made;
  }

  test('its CPUs, each kind once, its SoC and its root ports', () => {
    const made = machine();
    for (const [cpu, midr] of ['0x000000004e0f0100', '0x000000004e0f0100', '0x00000000414fd0c1'].entries())
      made.file(`/sys/devices/system/cpu/cpu${cpu}/regs/identification/midr_el1`, `${midr}\n`);
    made.file('/sys/devices/system/cpu/cpufreq/policy0', '');
    made.file('/sys/devices/soc0/soc_id', `${VERA}\n`);
    made.file('/sys/devices/soc0/revision', '0x00000003\n');
    expect(siliconHere(made.port)).toEqual({
      midrs: [OLYMPUS, NEOVERSE_N1],
      soc: VERA,
      socRevision: 3,
      rootPorts: ['1b36:0010'],
    });
    expect(hazardsHere(made.port).map(({ id }) => id)).toEqual([
      'nvidia-vera-partial-nc-writes',
      'nvidia-olympus-1027',
    ]);
  });

  test.each([
    ['cpu10', '0x000000004e0f0100', true],
    ['cpufreq1x', '0x000000004e0f0100', false],
    ['mycpu1', '0x000000004e0f0100', false],
    ['cpu1', '4e0f0100', false],
    ['cpu1', '0x4e0f0100 ', true],
    ['cpu1', 'a0x4e0f0100', false],
    ['cpu1', '0x4e0f0100g', false],
    ['cpu1', '0x11111111111111111', false],
  ])('of the CPU %s: %j', (cpu, midr, isOne) => {
    const made = machine();
    made.file(`/sys/devices/system/cpu/${cpu}/regs/identification/midr_el1`, `${midr}\n`);
    expect(siliconHere(made.port).midrs).toEqual(isOne ? [OLYMPUS] : []);
  });

  test.each([
    ['0x00000005', 5],
    ['5', 5],
    ['4294967296', 4_294_967_296],
    ['r5', null],
    ['5 of 6', null],
    ['0x123456789', null],
    ['', null],
  ])('of its SoC the revision %j', (text, revision) => {
    const made = machine();
    made.file('/sys/devices/soc0/revision', `${text}\n`);
    expect(siliconHere(made.port).socRevision).toBe(revision);
  });

  test.each([
    [VERA, true],
    [`a${VERA}`, false],
    [`${VERA}0`, false],
    ['jep106:036B:0410', false],
  ])('of its SoC the id %j', (text, isOne) => {
    const made = machine();
    made.file('/sys/devices/soc0/soc_id', `${text}\n`);
    expect(siliconHere(made.port).soc).toBe(isOne ? VERA : null);
  });

  test('nothing, or nothing of the right shape', () => {
    const made = machine();
    expect(siliconHere(made.port)).toEqual({ ...NONE, rootPorts: ['1b36:0010'] });
    made.file('/sys/devices/system/cpu/cpu0/regs/identification/midr_el1', 'not a number\n');
    made.file('/sys/devices/soc0/soc_id', `${VERA}\u001B[2J\n`);
    made.file('/sys/devices/soc0/revision', 'r1p0\n');
    expect(siliconHere(made.port)).toEqual({ ...NONE, rootPorts: ['1b36:0010'] });
  });
});

describe("rules of Arm's Base System Architecture", () => {
  test.each([
    ['data-read', 'Device-nGnRnE', ['PCI_MM_01']],
    ['data-write', 'Device-nGnRE', ['PCI_MM_01']],
    ['data-read', 'Normal-NC', ['PCI_MM_02']],
    ['unaligned-load', 'Normal-NC', ['PCI_MM_03']],
    ['unaligned-store', 'Normal-NC', ['PCI_MM_03']],
    ['unaligned-load-simd', 'Normal-NC', ['PCI_MM_03']],
    ['unaligned-store-simd', 'Normal-NC', ['PCI_MM_03']],
    ['unaligned-load-pair', 'Normal-NC', ['PCI_MM_03']],
    ['unaligned-store-pair', 'Normal-NC', ['PCI_MM_03']],
    ['unaligned-load', 'Device-nGnRnE', []],
    ['data-read', 'Normal-WB', []],
    ['fetch', 'Normal-NC', []],
    ['stage1-self-check', 'Device-nGnRnE', []],
  ] as const)('%s on %s', (probe, type, rules) => {
    expect(bsaRulesOf(probe, type)).toEqual(rules);
  });

  test("the host's own loads answer them too", () => {
    expect([bsaRules('aligned', 'Device-nGnRE'), bsaRules('unaligned', 'Normal-NC')]).toEqual([
      ['PCI_MM_01'],
      ['PCI_MM_03'],
    ]);
  });
});
