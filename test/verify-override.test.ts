/** --predict: what is replaced, and what is refused. */
import { describe, expect, test } from 'vitest';
import { MODELS } from '../memattr/index.ts';
import type { Platform } from '../memattr/index.ts';
import { parseOverride, replacePredictions } from '../tool/verify/override.ts';
import { planChecks } from '../tool/verify/plan.ts';
import { codeOf } from './stub-port.ts';

const PATCHED: Platform = { fwb: true, faultForwarding: true, mte: false };
const WINDOWS = (['device', 'wc', 'default'] as const).map((attribute) => ({ attribute, access: 'mapped' as const }));
const CHECKS = planChecks(MODELS.arm64, PATCHED, 'cookie', WINDOWS);

describe('a prediction', () => {
  test('is a probe, a type and an outcome', () => {
    expect(parseOverride('unaligned-load@Device-nGnRnE=ok')).toEqual({
      probe: 'unaligned-load',
      stage1: 'Device-nGnRnE',
      outcome: 'ok',
    });
    expect(parseOverride('fetch@UC=vm-killed')).toEqual({ probe: 'fetch', stage1: 'UC', outcome: 'vm-killed' });
  });

  test.each([
    '',
    'unaligned-load',
    'unaligned-load@Device-nGnRnE',
    'nothing@Device-nGnRnE=ok',
    'unaligned-load@Device-nGnRnE=fine',
    'unaligned-load@Device-nGnRnE=bad-cell',
    'unaligned-load@=ok',
    'an unaligned-load@UC=ok',
    'unaligned-load@UC=ok,',
  ])('is not "%s"', (text) => {
    expect(codeOf(() => parseOverride(text))).toBe('E_USAGE');
    expect(() => parseOverride(text)).toThrow(
      `--predict ${text} is not a prediction; expected PROBE@STAGE1=OUTCOME, as in unaligned-load@Device-nGnRnE=ok.`,
    );
  });
});

describe('checks', () => {
  test('with a replaced prediction are those of that probe and type', () => {
    const replaced = replacePredictions(CHECKS, [
      { probe: 'unaligned-load', stage1: 'Device-nGnRnE', outcome: 'ok' },
      { probe: 'fetch', stage1: 'Normal-NC', outcome: 'vm-killed' },
    ]);
    const changed = replaced.filter((check, index) => check !== CHECKS[index]);
    expect(
      changed.map(({ window, stage1, probe, prediction }) => [window, stage1.name, probe, prediction]).toSorted(),
    ).toEqual(
      [0, 1, 2]
        .flatMap((window) => [
          [window, 'Device-nGnRnE', 'unaligned-load', replacedBy('ok')],
          [window, 'Normal-NC', 'fetch', replacedBy('vm-killed')],
        ])
        .toSorted(),
    );
    expect(replacePredictions(CHECKS, [])).toEqual(CHECKS);
  });

  test.each([
    ['unaligned-load', 'UC'],
    ['nt-store', 'Normal-NC'],
  ] as const)('that none has cannot be replaced: %s of %s', (probe, stage1) => {
    const types = MODELS.arm64.stage1Types.map(({ name }) => name).join(', ');
    const replace = (): unknown => replacePredictions(CHECKS, [{ probe, stage1, outcome: 'ok' }]);
    expect(codeOf(replace)).toBe('E_USAGE');
    expect(replace).toThrow(
      `--predict ${probe}@${stage1} matches no check of this run; expected a probe of this architecture and one of the stage-1 types ${types}.`,
    );
  });
});

function replacedBy(outcome: string): unknown {
  return { kind: 'outcome', outcome, why: 'this prediction was replaced with --predict' };
}
