/** All bytes of a MAIR on all platforms: what takes longer than the other tests of the model together. */
import { describe, expect, test } from 'vitest';
import { arm64, decodeMair, outcomesOf } from '../memattr/index.ts';
import type { Platform, ProbeName, Stage1Type } from '../memattr/index.ts';
import { KVM_STAGE2 } from '../memattr/stage2.ts';
import { ALIGNMENT } from './alignment-probes.ts';

const BYTES: readonly Stage1Type[] = Array.from({ length: 256 }, (_, encoding) => ({
  name: `MAIR ${encoding}`,
  encoding,
}));
const PLATFORMS: readonly Platform[] = [true, false, null].flatMap((fwb) =>
  [true, false, null].flatMap((faultForwarding) => [true, false].map((mte) => ({ fwb, faultForwarding, mte }))),
);

describe('every cell', () => {
  const cells = PLATFORMS.flatMap((platform) =>
    BYTES.flatMap((type) =>
      KVM_STAGE2.map((stage2) => ({
        platform,
        type,
        stage2,
        meaningless: decodeMair(type.encoding).kind === 'reserved',
      })),
    ),
  );

  test('has an effective type and a prediction with a reason, whatever the byte and the platform', () => {
    const without = cells.filter(
      ({ platform, type, stage2 }) =>
        arm64.effective(type, stage2, platform) === '' ||
        arm64.probes.some((probe) => arm64.predict(probe, type, stage2, platform).why.length < 10),
    );
    expect(without).toEqual([]);
  });

  test('of a byte that means nothing is open', () => {
    const decided = cells.filter(
      ({ platform, type, stage2, meaningless }) =>
        meaningless && arm64.probes.some((probe) => arm64.predict(probe, type, stage2, platform).kind !== 'any'),
    );
    expect(decided).toEqual([]);
  });

  test('kills the VM only where stage 2 alone makes Device memory and KVM is not known to forward', () => {
    const kills = ({ platform, type, stage2 }: (typeof cells)[number]): readonly ProbeName[] =>
      arm64.probes.filter((probe) => {
        const prediction = arm64.predict(probe, type, stage2, platform);
        return outcomesOf(prediction)?.includes('vm-killed') === true;
      });
    const deadly = ({ platform, type, stage2, meaningless }: (typeof cells)[number]): boolean =>
      !meaningless && !platform.faultForwarding && stage2 === 'Device-nGnRE' && type.encoding > 0x0f;
    expect(cells.filter((cell) => kills(cell).length > 0)).toEqual(cells.filter(deadly));
    expect(new Set(cells.filter(deadly).map((cell) => kills(cell).join()))).toEqual(new Set([ALIGNMENT.join()]));
  });
});
