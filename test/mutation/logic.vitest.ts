import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: [
      'test/memory-*.test.ts',
      'test/plan-*.test.ts',
      'test/vfio-ranges.test.ts',
      'test/vfio-map-bar.test.ts',
      'test/verify-plan.test.ts',
      'test/guest-exchange.test.ts',
      'test/guest-records.test.ts',
      'test/guest-keys.test.ts',
      'test/kvm-spte.test.ts',
      'test/kvm-stage2.test.ts',
      'test/kvm-x86-host.test.ts',
      'test/vfio-host-mapping.test.ts',
    ],
    fileParallelism: false,
    testTimeout: 120_000,
  },
});
