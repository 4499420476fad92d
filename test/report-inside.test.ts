import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, expect, it, vi } from 'vitest';
import { runInTestbed } from '../testbed/index.ts';
import type { TestbedRequest } from '../testbed/index.ts';
import { runInside } from '../tool/cli/commands/run-inside.ts';
import { formatReport } from '../tool/report/json.ts';
import { sampleReport } from './report-sample.ts';

vi.mock('../testbed/index.ts', () => ({
  runInTestbed: vi.fn<typeof runInTestbed>(),
  testbedDevice: () => '0000:01:00.0',
}));

const OPTIONS = {
  source: 'cookie',
  iommu: 'auto',
  map: ['bar2=wc'],
  timeout: 30,
  sandbox: true,
  testbed: 'arm64',
} as const;

/** An instance whose command ends with `code` and leaves `report` behind. */
function instance(code: number, report: string | null): void {
  vi.mocked(runInTestbed).mockImplementation(async ({ outputDir }: TestbedRequest) => {
    if (report !== null) writeFileSync(join(outputDir ?? '', 'report.json'), report);
    return code;
  });
}

describe('a command inside of an instance', () => {
  beforeEach(() => {
    vi.mocked(runInTestbed).mockReset();
  });

  it('brings its report out', async () => {
    instance(1, formatReport(sampleReport()));
    await expect(runInside('verify', OPTIONS)).resolves.toEqual({ report: sampleReport() });
    const { run } = vi.mocked(runInTestbed).mock.calls[0]?.[0] ?? {};
    expect(run).toMatchObject({
      kind: 'wcvmm',
      args: expect.arrayContaining(['verify', '--device', '0000:01:00.0', '--map', 'bar2=wc', '--json']),
    });
  });

  it('has said why it could not run', async () => {
    instance(2, null);
    await expect(runInside('bench', OPTIONS)).resolves.toEqual({ report: null, code: 2 });
  });

  it.each([0, 1])('is not believed to have ended well, or with a verdict, without a report: %i', async (code) => {
    instance(code, null);
    await expect(runInside('verify', OPTIONS)).rejects.toMatchObject({ code: 'E_TESTBED' });
  });

  it('is not believed where the report is none', async () => {
    instance(0, '{}');
    await expect(runInside('verify', OPTIONS)).rejects.toMatchObject({ code: 'E_REPORT' });
  });
});
