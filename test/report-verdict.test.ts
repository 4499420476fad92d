import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { PROBES } from '../memattr/index.ts';
import type { Erratum, Outcome, Prediction } from '../memattr/index.ts';
import { OUTCOME_NUMBER } from '../tool/verify/guest/abi.ts';
import { type JudgedCheck, judge } from '../tool/verify/judge.ts';

const OUTCOMES = [
  ...(Object.keys(OUTCOME_NUMBER) as (keyof typeof OUTCOME_NUMBER)[]).filter((name) => name !== 'bad-cell'),
  'vm-killed',
] as Outcome[];
const expects = (outcome: Outcome): Prediction => ({ kind: 'outcome', outcome, why: 'because of the table' });

const dczva: Erratum = {
  id: 'qemu-dczva',
  emulator: /^qemu-10\./,
  text: 'DC ZVA never faults on Device memory',
  matches: ({ probe, effective, predicted, observed }) =>
    probe === 'zero-block' && effective.startsWith('Device') && predicted === 'alignment-fault' && observed === 'ok',
};

/** What the guest answered in place of an outcome: null = nothing. */
function evidence(observed: Outcome | 'bad-cell' | null, change: Partial<JudgedCheck> = {}): JudgedCheck {
  return {
    probe: 'unaligned-store',
    stage1: { name: 'Normal-NC', encoding: 0x44 },
    stage2Predicted: 'Device-nGnRE',
    stage2Programmed: 'Device-nGnRE',
    effective: 'Device-nGnRE',
    prediction: expects('alignment-fault'),
    record: observed === null || observed === 'vm-killed' ? null : { cell: 3, outcome: observed },
    vmKilled: observed === 'vm-killed',
    emulator: 'qemu-10.0.2',
    ...change,
  };
}

describe('a predicted outcome', () => {
  it('matches when it is observed, and needs no note', () => {
    expect(judge(evidence('alignment-fault'), [dczva])).toEqual({
      observed: 'alignment-fault',
      verdict: 'match',
      note: null,
    });
  });

  it('is a mismatch for every other outcome, whatever it is', () => {
    fc.assert(
      fc.property(fc.constantFrom(...OUTCOMES), fc.constantFrom(...OUTCOMES), (predicted, observed) => {
        const { verdict } = judge(evidence(observed, { prediction: expects(predicted) }), [dczva]);
        expect(verdict).toBe(predicted === observed ? 'match' : 'mismatch');
      }),
    );
  });

  it('says why a mismatch was not expected', () => {
    expect(judge(evidence('ok'), [])).toEqual({ observed: 'ok', verdict: 'mismatch', note: 'because of the table' });
  });

  it('may be the end of the VM', () => {
    expect(judge(evidence('vm-killed', { prediction: expects('vm-killed') }), [])).toMatchObject({
      observed: 'vm-killed',
      verdict: 'match',
    });
    expect(judge(evidence('vm-killed'), [])).toMatchObject({ observed: 'vm-killed', verdict: 'mismatch' });
  });

  it('counts as observed what killed the VM, not what was in the log before', () => {
    expect(judge(evidence('alignment-fault', { vmKilled: true }), [])).toMatchObject({
      observed: 'vm-killed',
      verdict: 'mismatch',
    });
  });
});

describe('a stage 2 that is not the predicted one', () => {
  it('is a mismatch even if the guest saw what was predicted', () => {
    const { verdict, note } = judge(evidence('alignment-fault', { stage2Programmed: 'Normal-NC' }), []);
    expect(verdict).toBe('mismatch');
    expect(note).toContain('KVM programmed stage 2 as Normal-NC, the model predicts Device-nGnRE');
  });

  it('is not excused by an erratum, and not hidden by a measurement', () => {
    const wrong = { probe: 'zero-block', stage2Programmed: 'Normal-NC' } as const;
    expect(judge(evidence('ok', wrong), [dczva]).verdict).toBe('mismatch');
    expect(judge(evidence('ok', { ...wrong, prediction: { kind: 'measurement', why: '' } }), [dczva]).verdict).toBe(
      'mismatch',
    );
    expect(judge(evidence('ok', { ...wrong, prediction: { kind: 'any', why: '' } }), [dczva]).verdict).toBe('mismatch');
  });

  it('is none where the kernel does not tell', () => {
    expect(judge(evidence('alignment-fault', { stage2Programmed: null }), []).verdict).toBe('match');
  });
});

describe('a measurement', () => {
  const prediction = { kind: 'measurement', why: 'figures mean something on hardware only' } as const;

  it('shows nothing, and is a mismatch where its accesses did not work', () => {
    expect(judge(evidence('ok', { prediction }), [])).toEqual({
      observed: 'ok',
      verdict: 'unobservable',
      note: 'figures mean something on hardware only',
    });
    expect(judge(evidence('external-abort', { prediction }), [])).toEqual({
      observed: 'external-abort',
      verdict: 'mismatch',
      note: 'a measurement makes only accesses that every memory type allows: figures mean something on hardware only',
    });
  });
});

describe('an erratum', () => {
  const zva = { probe: 'zero-block' } as const;

  it('names itself and is no match', () => {
    expect(judge(evidence('ok', zva), [dczva])).toEqual({
      observed: 'ok',
      verdict: 'erratum',
      note: 'qemu-dczva: DC ZVA never faults on Device memory',
    });
  });

  it('may be of one of several outcomes that are as predicted', () => {
    const outcomes = ['external-abort', 'alignment-fault'] as const;
    const prediction = { kind: 'one-of', outcomes, why: '' } as const;
    expect(judge(evidence('ok', { ...zva, prediction }), [dczva]).verdict).toBe('erratum');
  });

  it('does not turn a right outcome into a deviation', () => {
    expect(judge(evidence('alignment-fault', zva), [dczva]).verdict).toBe('match');
  });

  it.each<[string, Outcome, Partial<JudgedCheck>]>([
    ['another wrong outcome', 'external-abort', zva],
    ['the end of the VM', 'vm-killed', zva],
    ['wrong data', 'wrong-data', zva],
    ['another probe', 'ok', {}],
    ['another memory type', 'ok', { ...zva, effective: 'Normal-NC' }],
    ['another version of the emulator', 'ok', { ...zva, emulator: 'qemu-11.1.0' }],
    ['real hardware', 'ok', { ...zva, emulator: null }],
    ['a wrong model', 'ok', { ...zva, prediction: expects('external-abort') }],
  ])('does not excuse %s', (_, observed, change) => {
    expect(judge(evidence(observed, change), [dczva]).verdict).toBe('mismatch');
  });

  it('is asked with all that is known', () => {
    const seen: unknown[] = [];
    const spy: Erratum = { ...dczva, emulator: /./, matches: (check) => seen.push(check) === 0 };
    judge(evidence('ok'), [spy]);
    expect(seen).toEqual([
      {
        probe: 'unaligned-store',
        stage1: 'Normal-NC',
        stage2: 'Device-nGnRE',
        effective: 'Device-nGnRE',
        predicted: 'alignment-fault',
        observed: 'ok',
      },
    ]);
  });
});

describe('what cannot be observed', () => {
  it('is unobservable whatever the architecture leaves open turned out to be', () => {
    for (const observed of ['ok', 'alignment-fault', 'atomic-fault', 'external-abort'] as const) {
      expect(judge(evidence(observed, { prediction: { kind: 'any', why: 'up to the implementation' } }), [])).toEqual({
        observed,
        verdict: 'unobservable',
        note: 'up to the implementation',
      });
    }
  });

  it('is unobservable for a measurement, which must still complete', () => {
    const prediction: Prediction = { kind: 'measurement', why: 'timing says nothing here' };
    expect(judge(evidence('ok', { probe: 'store-bandwidth', prediction }), [])).toEqual({
      observed: 'ok',
      verdict: 'unobservable',
      note: 'timing says nothing here',
    });
    expect(judge(evidence('external-abort', { probe: 'store-bandwidth', prediction }), []).verdict).toBe('mismatch');
    expect(judge(evidence('not-present', { probe: 'store-bandwidth', prediction }), []).verdict).toBe('mismatch');
  });

  it('is a feature that the CPU lacks, predicted or not', () => {
    for (const prediction of [expects('ok'), expects('not-present')]) {
      expect(judge(evidence('not-present', { probe: 'tag-retention', prediction }), [])).toEqual({
        observed: 'not-present',
        verdict: 'unobservable',
        note: "the guest's CPU lacks allocation tags (MTE)",
      });
    }
  });

  it.each([
    ['unaligned-load-simd', 'SIMD registers'],
    ['unaligned-store-simd', 'SIMD registers'],
    ['simd-half-aligned', 'SIMD registers'],
    ['zero-block', 'an instruction to zero a block that the guest may use'],
    ['atomic', 'single-instruction atomics'],
    ['nt-load', 'non-temporal loads (SSE4.1)'],
    ['direct-store', '64-byte stores (MOVDIR64B)'],
  ] as const)('of %s is %s', (probe, feature) => {
    expect(judge(evidence('not-present', { probe }), [])).toMatchObject({
      verdict: 'unobservable',
      note: `the guest's CPU lacks ${feature}`,
    });
  });

  it('is not an excuse for a probe that needs no feature', () => {
    const needsNone = PROBES.filter((probe) => judge(evidence('not-present', { probe }), []).verdict === 'mismatch');
    expect(needsNone).toHaveLength(PROBES.length - 8);
    expect(judge(evidence('not-present'), []).verdict).toBe('mismatch');
  });

  it('is not a feature that is there although it was predicted absent', () => {
    expect(judge(evidence('ok', { probe: 'tag-retention', prediction: expects('not-present') }), []).verdict).toBe(
      'mismatch',
    );
  });
});

describe('a check that was not carried out', () => {
  it('is skipped with the reason, even where stage 2 is wrong', () => {
    expect(judge(evidence(null), [])).toEqual({
      observed: null,
      verdict: 'skipped',
      note: 'the guest ended before this check',
    });
    expect(judge(evidence(null, { skipReason: 'no time left' }), [])).toMatchObject({
      verdict: 'skipped',
      note: 'no time left',
    });
    expect(judge(evidence(null, { stage2Programmed: 'Normal-NC' }), []).verdict).toBe('skipped');
  });

  it('is no verdict at all when the guest was asked nonsense', () => {
    expect(() => judge(evidence('bad-cell'), [])).toThrow(
      expect.objectContaining({ code: 'E_GUEST_RECORDS', message: expect.stringContaining('cell 3') }),
    );
  });
});

function translated(change: Partial<JudgedCheck>): JudgedCheck {
  return evidence('ok', { probe: 'stage1-self-check', prediction: expects('ok'), combined: 'Device-nGnRE', ...change });
}

describe('what the CPU says that both stages combine to', () => {
  it('is as the model says, or was not said', () => {
    for (const combined of ['Device-nGnRE', null]) expect(judge(translated({ combined }), []).verdict).toBe('match');
    expect(judge(translated({ effective: 'Normal-WB or Device-nGnRE' }), []).verdict).toBe('match');
  });

  it('is a mismatch where it is something else, also if the kernel programmed what was predicted', () => {
    expect(judge(translated({ combined: 'Normal-NC' }), [])).toEqual({
      observed: 'ok',
      verdict: 'mismatch',
      note: 'both stages combine to Normal-NC, as the CPU translates the address (AT S12E1R); the model says Device-nGnRE',
    });
  });

  const deviation = {
    stage1: { name: 'Device-nGnRnE', encoding: 0 },
    effective: 'Device-nGnRnE',
    combined: 'Device-nGnRE',
  } as const;

  it('is an erratum of the emulator that is known for it, and of no other', () => {
    expect(judge(translated(deviation), [])).toMatchObject({
      verdict: 'erratum',
      note: expect.stringMatching(/^qemu-translate-ngnrne: /),
    });
    for (const emulator of [null, 'qemu-11.0.0'])
      expect(judge(translated({ ...deviation, emulator }), []).verdict).toBe('mismatch');
    expect(judge(translated({ ...deviation, combined: 'Normal-NC' }), []).verdict).toBe('mismatch');
  });

  it('excuses no guest that saw something else', () => {
    expect(judge(translated({ ...deviation, record: { cell: 0, outcome: 'wrong-data' } }), []).verdict).toBe(
      'mismatch',
    );
  });

  it('is asked of nothing that is trapped', () => {
    const trapped = { stage2Predicted: 'trapped', stage2Programmed: 'trapped', combined: 'Normal-WB' };
    expect(judge(translated(trapped), []).verdict).toBe('match');
  });
});
