/** What will a guest's mapping become? The model alone: no device, no KVM, any machine. */
import { ATTRIBUTES, arm64 } from 'wcvmm/memattr';
import type { Platform } from 'wcvmm/memattr';

const platform: Platform = { fwb: true, faultForwarding: true, mte: false };
const normalNC = arm64.stage1Types.find(({ name }) => name === 'Normal-NC');
if (normalNC === undefined) throw new Error('the model has no Normal-NC');

for (const attribute of ATTRIBUTES) {
  const stage2 = arm64.stage2(attribute, 'cookie', platform);
  const prediction = arm64.predict('unaligned-load', normalNC, stage2, platform);
  const seen = prediction.kind === 'outcome' ? prediction.outcome : prediction.kind;
  console.log(
    `${attribute}: stage 2 ${stage2}, a guest's Normal-NC becomes ${arm64.effective(normalNC, stage2, platform)}, an unaligned load: ${seen}`,
  );
}
