import { describe, expect, test } from 'vitest';
import { MODELS, remembering } from '../memattr/index.ts';
import type { ArchitectureModel, Platform } from '../memattr/index.ts';

const HERE: Platform = { fwb: true, faultForwarding: true, mte: false };

/** A model that counts what it is asked. */
function counting(): { readonly model: ArchitectureModel; readonly asked: string[] } {
  const { arm64 } = MODELS;
  const asked: string[] = [];
  const model: ArchitectureModel = {
    ...arm64,
    stage2Types: (platform) => (asked.push('types'), arm64.stage2Types(platform)),
    effective: (...question) => (asked.push('effective'), arm64.effective(...question)),
    predict: (...question) => (asked.push('predict'), arm64.predict(...question)),
  };
  return { model: remembering(model), asked };
}

describe('a model that keeps its answers', () => {
  test('answers as the model does, to every question', () => {
    const { arm64 } = MODELS;
    const { model } = counting();
    const platforms = [HERE, { ...HERE, fwb: false }, { ...HERE, faultForwarding: false }];
    for (const platform of [...platforms, ...platforms]) {
      expect(model.stage2Types(platform)).toEqual(arm64.stage2Types(platform));
      for (const stage1 of arm64.stage1Types)
        for (const stage2 of arm64.stage2Types(platform)) {
          expect(model.effective(stage1, stage2, platform)).toBe(arm64.effective(stage1, stage2, platform));
          for (const probe of ['unaligned-load', 'zero-block', 'fetch'] as const)
            expect(model.predict(probe, stage1, stage2, platform)).toEqual(
              arm64.predict(probe, stage1, stage2, platform),
            );
        }
    }
  });

  test('asks once for each question about a platform', () => {
    const { model, asked } = counting();
    const [one] = model.stage1Types;
    if (one === undefined) throw new Error('no type');
    const ask = (platform: Platform): void => {
      model.stage2Types(platform);
      model.effective(one, 'Normal-NC', platform);
      model.predict('fetch', one, 'Normal-NC', platform);
    };
    ask(HERE);
    ask(HERE);
    expect(asked).toEqual(['types', 'effective', 'predict']);
    ask({ ...HERE });
    expect(asked).toHaveLength(6);
    // Two types of one name are two questions.
    model.effective({ ...one, encoding: 0xff }, 'Normal-NC', HERE);
    model.predict('fetch', { ...one, encoding: 0xff }, 'Normal-NC', HERE);
    expect(asked).toHaveLength(8);
  });
});
