import type { ArchitectureModel, Platform } from './model.ts';

/**
 * The same model, which keeps its answers: to weigh a report asks for each of them hundreds of times. Platforms that it is
 * asked about must not change.
 */
export function remembering(model: ArchitectureModel): ArchitectureModel {
  const effective = kept<string>();
  const predict = kept<ReturnType<ArchitectureModel['predict']>>();
  const types = kept<readonly string[]>();
  return {
    ...model,
    stage2Types: (platform) => types(platform, '', () => model.stage2Types(platform)),
    effective: (stage1, stage2, platform) =>
      effective(platform, `${stage1.name} ${stage1.encoding} ${stage2}`, () =>
        model.effective(stage1, stage2, platform),
      ),
    predict: (probe, stage1, stage2, platform) =>
      predict(platform, `${probe} ${stage1.name} ${stage1.encoding} ${stage2}`, () =>
        model.predict(probe, stage1, stage2, platform),
      ),
  };
}

/** Answers by platform and question. What throws is asked again. */
function kept<T>(): (platform: Platform, question: string, ask: () => T) => T {
  const answers = new WeakMap<Platform, Map<string, T>>();
  return (platform, question, ask) => {
    const known = answers.get(platform) ?? new Map<string, T>();
    answers.set(platform, known);
    const answer = known.get(question) ?? ask();
    known.set(question, answer);
    return answer;
  };
}
