import { describe, expect, test } from 'vitest';
import { hazardsOf } from '../memattr/index.ts';
import { diagnose } from '../tool/host/doctor/doctor.ts';
import { formatHtml } from '../tool/report/html/page.ts';
import { parseReport } from '../tool/report/schema.ts';
import { suitesOf } from '../tool/report/cases.ts';
import { renderReport } from '../tool/report/text.ts';
import type { Report } from '../tool/report/report.ts';
import { withHazards, withRules } from '../tool/verify/flags.ts';
import { sampleReport } from './report-sample.ts';
import { stubPort } from './stub-port.ts';

const STYLE = { columns: 200, color: false };
const VERA = hazardsOf({ midrs: [0x4e0f_0100n], soc: 'jep106:036b:0410', socRevision: 1, rootPorts: [] });
const NC = 'nvidia-vera-partial-nc-writes';
const LOADS = 'nvidia-olympus-1027';

function flaggedBy(report: Report): Readonly<Record<string, readonly string[]>> {
  return Object.fromEntries(report.windows.map(({ attribute, hazards = [] }) => [attribute, hazards]));
}

describe('hazards in a report', () => {
  const report = withHazards(sampleReport(), VERA);

  test('flag default and wc, whose guests can have Normal-NC, and not device', () => {
    expect(flaggedBy(report)).toEqual({ device: [LOADS], wc: [NC], default: [LOADS, NC] });
  });

  test('are said in full once, and by name at the windows', () => {
    const text = renderReport(report, STYLE);
    expect(text.match(/! danger +NVIDIA Vera before revision 5: its PCIe controllers/g)).toHaveLength(1);
    expect(text).toMatch(new RegExp(`! of a type that does harm on this silicon: ${NC}`));
  });

  test('are read again as they were written', () => {
    expect(parseReport(JSON.stringify(report)).hazards).toEqual(report.hazards);
    expect(flaggedBy(parseReport(JSON.stringify(report)))).toEqual(flaggedBy(report));
  });

  test('are nowhere on other silicon, nor at a control', () => {
    expect(withHazards(sampleReport(), [])).not.toHaveProperty('hazards');
    const [first] = sampleReport().windows;
    if (first === undefined) throw new Error('the sample has windows');
    const control = withHazards({ ...sampleReport(), windows: [{ ...first, control: true }] }, VERA);
    expect(control.windows[0]).not.toHaveProperty('hazards');
  });

  test('a trapped window is as dangerous as the mapping of the VMM', () => {
    const [first] = sampleReport().windows;
    if (first === undefined) throw new Error('the sample has windows');
    const trapped = {
      ...first,
      stage2: { ...first.stage2, predicted: 'Normal-NC', programmed: null },
      trapped: { exits: 3 },
    };
    expect(withHazards({ ...sampleReport(), windows: [trapped] }, VERA).windows[0]?.hazards).toEqual([LOADS]);
  });
});

function silicon(midr: string, files: Readonly<Record<string, string>>) {
  const { port } = stubPort({
    texts: { '/sys/devices/system/cpu/cpu0/regs/identification/midr_el1': `${midr}\n`, ...files },
    folders: { '/sys/devices/system/cpu': ['cpu0', 'cpufreq'] },
  });
  return diagnose(port, { device: null, source: 'cookie', iommu: 'auto' }, 'arm64').findings.filter(({ id }) =>
    id.startsWith('silicon'),
  );
}

describe('doctor on such silicon', () => {
  test('warns, and says what to do', () => {
    const found = silicon('0x000000004e0f0100', {
      '/sys/devices/soc0/soc_id': 'jep106:036b:0410\n',
      '/sys/devices/soc0/revision': '0x00000004\n',
    });
    expect(found.map(({ id, state, blocks }) => [id, state, blocks])).toEqual([
      [`silicon-${NC}`, 'note', false],
      [`silicon-${LOADS}`, 'note', false],
    ]);
    expect(found[0]).toMatchObject({
      detail: expect.stringMatching(/^DANGER: NVIDIA Vera/) as string,
      fix: expect.stringMatching(/--map bar2=device/) as string,
    });
  });

  test('says where it cannot be sure, and that nothing is known', () => {
    expect(silicon('0x000000004e0f0100', {})[0]).toMatchObject({
      state: 'unknown',
      detail: expect.stringMatching(/^this may be NVIDIA Vera/) as string,
    });
    expect(silicon('0x00000000410fd4f0', {})).toMatchObject([{ id: 'silicon', state: 'ok' }]);
  });
});

describe("Arm's rules in a report", () => {
  const report = withRules(sampleReport());

  test('stand at the checks that answer them, and nowhere else', () => {
    const answered = new Set(
      report.checks.flatMap(({ rules = [], probe, effective }) =>
        rules.map((rule) => `${rule} ${probe.split('-')[0]} ${effective.split('-')[0]}`),
      ),
    );
    expect([...answered].toSorted()).toEqual([
      'PCI_MM_01 data Device',
      'PCI_MM_02 data Normal',
      'PCI_MM_03 unaligned Normal',
    ]);
    expect(renderReport(report, STYLE)).toMatch(
      /BSA rules {2}PCI_MM_01 held in \d+ of \d+ checks, PCI_MM_02 held in .*, PCI_MM_03 held in/,
    );
    expect(parseReport(JSON.stringify(report)).checks.filter(({ rules }) => rules !== undefined)).not.toHaveLength(0);
    expect(
      suitesOf([{ name: 'x', report }]).flatMap(({ cases }) => cases.filter(({ detail }) => 'BSA rules' in detail)),
    ).not.toHaveLength(0);
  });

  test('memory instead of a device answers none, and x86 has none', () => {
    const memory = withRules({ ...sampleReport(), device: { address: null, id: null, source: 'memory' } });
    expect(memory.checks.filter(({ rules }) => rules !== undefined)).toEqual([]);
    const other = sampleReport();
    expect(withRules({ ...other, arch: 'x86' })).toEqual({ ...other, arch: 'x86' });
  });
});

test('the page shows both', () => {
  const page = formatHtml([{ name: 'x', report: withHazards(sampleReport(), VERA) }]);
  expect(page).toContain('Danger on this silicon');
  expect(page).toContain(NC);
});
