/**
 * Every reason that the models give, each once, as people read it: test/snapshots/memattr-sentences.txt. After a change: vitest run FILE
 * -u, and read what has changed.
 */
import { expect, test } from 'vitest';
import {
  ARCHES,
  ATTRIBUTES,
  MODELS,
  MTRR_TYPES,
  SOURCES,
  decodeMair,
  decodePat,
  decodeStage2,
} from '../memattr/index.ts';
import type { Platform } from '../memattr/index.ts';
import { predictArm64 } from '../memattr/predict.ts';
import { TRAPPED_ARM64_PROBES } from '../memattr/trapped-arm64.ts';
import { TRAPPED_PROBES } from '../memattr/x86/trapped.ts';

const SNAPSHOT = new URL('./snapshots/memattr-sentences.txt', import.meta.url);

const PLATFORMS = {
  arm64: [true, false, null].flatMap((fwb) =>
    [true, false, null].map((faultForwarding): Platform => ({ fwb, faultForwarding, mte: fwb === true })),
  ),
  x86: (['ept', 'npt', null] as const).flatMap((nestedPaging) =>
    [...MTRR_TYPES, null].map((mtrr): Platform => ({
      fwb: null,
      faultForwarding: null,
      mte: false,
      nestedPaging,
      mtrr,
    })),
  ),
} as const;

/** Whatever a call refuses, as it says it. */
function said(call: () => { readonly why: string } | object): string {
  try {
    const answer = call();
    return 'why' in answer ? String(answer.why) : '';
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    return error.message;
  }
}

test('the sentences of the models', async () => {
  const all = new Set<string>();
  const bytes = [0x02, 0x03, 0x10, 0xff];
  const add = (call: () => { readonly why: string } | object): void => void all.add(said(call));
  for (const arch of ARCHES) {
    const model = MODELS[arch];
    const probes = new Set(ARCHES.flatMap((other) => MODELS[other].probes));
    for (const platform of PLATFORMS[arch]) {
      const names = [...model.stage2Types(platform), ...(arch === 'x86' ? ['unknown', 'mixed'] : ['mixed'])];
      for (const stage1 of model.stage1Types)
        for (const probe of probes) {
          for (const stage2 of names) add(() => model.predict(probe, stage1, stage2, platform));
          add(() => model.trapped.predict(probe, stage1, platform));
        }
      for (const source of SOURCES)
        for (const attribute of ATTRIBUTES) {
          add(() => model.strictness(attribute, source, platform));
          add(() => model.trapped.strictness(attribute, source, platform));
        }
    }
  }
  for (const byte of bytes) {
    add(() => decodeMair(byte));
    add(() => decodePat(byte));
  }
  for (let bits = 0; bits < 16; bits += 1)
    for (const fwb of [true, false])
      for (const mtePerm of [true, false]) add(() => decodeStage2(bits, { fwb, mtePerm }));
  const [tagged, device] = [decodeMair(0xf0), decodeMair(0x00)];
  const combination = { stage1: tagged, stage2: 'Normal-WB', faultForwarding: true, mte: true };
  if (tagged.kind !== 'normal') throw new Error('not Normal');
  add(() => predictArm64('tag-retention', { ...combination, effective: { ...tagged, tags: 'no-access' } }));
  add(() => predictArm64('atomic', { ...combination, stage1: device, effective: tagged }));
  expect(TRAPPED_ARM64_PROBES.length + TRAPPED_PROBES.length).toBeGreaterThan(20);
  await expect(
    `${[...all]
      .filter((text) => text !== '')
      .toSorted()
      .join('\n')}\n`,
  ).toMatchFileSnapshot(SNAPSHOT.pathname);
});
