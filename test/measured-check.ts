import type { JudgedCheck } from '../tool/verify/judge.ts';

/** A check on hardware whose probe worked and gave a figure. */
export function measuredCheck(
  change: Pick<JudgedCheck, 'probe' | 'stage1' | 'stage2Predicted'> & Partial<JudgedCheck>,
): JudgedCheck {
  return {
    stage2Programmed: null,
    effective: 'WC',
    prediction: { kind: 'measurement', why: 'figures mean something on hardware only' },
    record: { cell: 0, outcome: 'ok' },
    vmKilled: false,
    emulator: null,
    ...change,
  };
}
