/** Reports of several machines side by side: what an attribute becomes on each, and where machines of one architecture differ. Pure. */
import { PROBES } from '../../memattr/index.ts';
import type { Attribute, ProbeName } from '../../memattr/index.ts';
import type { NamedReport } from './machine.ts';
import { attributeOnMachine, windowsOf } from './machine-attribute.ts';
import type { MachineAttribute } from './machine-attribute.ts';
import type { Check, Evidence, Report } from './report.ts';
import { STRICTEST_FIRST } from './words.ts';

export const COMPARISON_SCHEMA = 'wcvmm.comparison/1';

/** As JSON has it. Lists called `machines` have one entry per machine, in the order of the reports; null: that machine has none. */
export interface Comparison {
  schema: typeof COMPARISON_SCHEMA;
  machines: (Pick<Report, 'command' | 'arch' | 'platform' | 'device' | 'summary'> & { name: string })[];
  attributes: AttributeRow[];
  differences: Difference[];
  /** What was not compared, and why. */
  incomparable: string[];
}

export interface AttributeRow {
  attribute: Attribute;
  machines: (MachineAttribute | null)[];
  /** In what those machines differ that can be compared. */
  differs: ('hostVma' | 'stage2' | 'strictness')[];
  /** Stage-1 types that machines of one architecture combine to different types. */
  combinedDiffers: string[];
}

/** A check with different results on machines of one architecture. */
export interface Difference {
  attribute: Attribute;
  stage1: string;
  probe: ProbeName;
  machines: (CheckOnMachine | null)[];
}

export type CheckOnMachine = Pick<Check, 'effective' | 'predicted' | 'alternatives' | 'observed' | 'verdict'>;

export function compareMachines(reports: readonly NamedReport[]): Comparison {
  return {
    schema: COMPARISON_SCHEMA,
    machines: reports.map(({ name, report: { command, arch, platform, device, summary } }) => ({
      name,
      command,
      arch,
      platform,
      device,
      summary,
    })),
    attributes: STRICTEST_FIRST.flatMap((attribute) => attributeRow(attribute, reports)),
    differences: STRICTEST_FIRST.flatMap((attribute) => differencesOf(attribute, reports)),
    incomparable: incomparable(reports),
  };
}

function attributeRow(attribute: Attribute, reports: readonly NamedReport[]): readonly AttributeRow[] {
  const machines = reports.map(({ report }) => attributeOnMachine(report, attribute));
  if (machines.every((entry) => entry === null)) return [];
  // The types of two architectures have nothing in common, and neither do EPT's and NPT's; whether a guest can relax a window does.
  const kinds = reports.map(({ report }) => report.arch);
  const paging = reports.map(({ report }) => `${report.arch} ${report.platform.nestedPaging ?? ''}`);
  const differs: AttributeRow['differs'] = [];
  if (isSplit(machines, kinds, ({ hostVma }) => made(hostVma))) differs.push('hostVma');
  if (isSplit(machines, paging, ({ stage2 }) => made(stage2))) differs.push('stage2');
  if (isSplit(machines, [], ({ strictness }) => strictness && String(strictness.strict))) differs.push('strictness');
  const types = new Set(machines.flatMap((entry) => entry?.combined.map(({ stage1 }) => stage1) ?? []));
  const combinedDiffers = [...types].filter((type) =>
    isSplit(machines, kinds, ({ combined }) => combined.find(({ stage1 }) => stage1 === type)?.effective ?? null),
  );
  return [{ attribute, machines, differs, combinedDiffers }];
}

function made({ predicted, programmed }: Evidence): string {
  return programmed ?? predicted;
}

/** Do two machines of one group differ? Without groups all are comparable; null is not known. */
function isSplit(
  machines: readonly (MachineAttribute | null)[],
  groups: readonly string[],
  say: (entry: MachineAttribute) => string | null,
): boolean {
  const said = new Map<string, string>();
  return machines.some((entry, index) => {
    const word = entry && say(entry);
    if (word === null) return false;
    const group = groups[index] ?? '';
    const before = said.get(group);
    said.set(group, before ?? word);
    return before !== undefined && before !== word;
  });
}

function differencesOf(attribute: Attribute, reports: readonly NamedReport[]): readonly Difference[] {
  const checks = reports.map(({ report }) => checksOf(report, attribute));
  const keys = new Set(checks.flatMap((ofOne) => [...ofOne.keys()]));
  return [...keys].flatMap((key): Difference[] => {
    const machines = checks.map((ofOne) => ofOne.get(key) ?? null);
    const one = machines.find((check) => check !== null);
    const answers = new Set(
      machines.flatMap((check) => (check === null ? [] : [`${check.observed ?? ''} ${check.verdict}`])),
    );
    if (one == null || answers.size < 2) return [];
    return [
      { attribute, stage1: one.stage1, probe: one.probe, machines: machines.map((check) => check && onMachine(check)) },
    ];
  });
}

/** By architecture, stage-1 type and probe: a key that two architectures never share. */
function checksOf(report: Report, attribute: Attribute): ReadonlyMap<string, Check> {
  const index = windowsOf(report, attribute)[0]?.[0];
  return new Map(
    report.checks
      .filter(({ window, offset }) => window === index && offset === undefined)
      .map((check) => [`${report.arch} ${check.stage1} ${check.probe}`, check]),
  );
}

function onMachine({ effective, predicted, alternatives, observed, verdict }: Check): CheckOnMachine {
  return { effective, predicted, ...(alternatives && { alternatives }), observed, verdict };
}

function incomparable(reports: readonly NamedReport[]): string[] {
  const byArch = new Map<string, NamedReport[]>();
  for (const named of reports) byArch.set(named.report.arch, [...(byArch.get(named.report.arch) ?? []), named]);
  const groups = [...byArch.values()];
  const apart =
    groups.length > 1
      ? [
          `checks of ${[...byArch.keys()].join(' and ')}: their guests have no stage-1 type in common, so no two of their checks can be compared`,
        ]
      : [];
  return apart.concat(groups.flatMap(missingProbes), missingAttributes(reports));
}

/** Of machines of one architecture: probes that were not run on some. */
function missingProbes(group: readonly NamedReport[]): readonly string[] {
  const asked = group.map(({ name, report }) => ({ name, probes: new Set(report.checks.map(({ probe }) => probe)) }));
  const some = PROBES.filter((probe) => asked.some(({ probes }) => probes.has(probe)));
  return asked.flatMap(({ name, probes }) => {
    const lacking = some.filter((probe) => !probes.has(probe));
    return lacking.length > 0 ? [`${lacking.join(', ')}: not run on ${name}`] : [];
  });
}

function missingAttributes(reports: readonly NamedReport[]): readonly string[] {
  const used = STRICTEST_FIRST.filter((attribute) =>
    reports.some(({ report }) => windowsOf(report, attribute).length > 0),
  );
  return reports.flatMap(({ name, report }) => {
    const lacking = used.filter((attribute) => windowsOf(report, attribute).length === 0);
    return lacking.length > 0 ? [`windows of ${lacking.join(', ')}: ${name} has none`] : [];
  });
}
