/** One attribute on one machine. */
import { MODELS } from '../../memattr/index.ts';
import type { Attribute, Strictness } from '../../memattr/index.ts';
import { shownBy } from './proof.ts';
import type { Part } from './proof.ts';
import { isControl, summarise } from './report.ts';
import type { Figure, Report, ReportWindow, Summary } from './report.ts';

/** One attribute on one machine: its first window, and the verdicts of all. */
export interface MachineAttribute {
  windows: number;
  hostVma: ReportWindow['hostVma'];
  stage2: ReportWindow['stage2'];
  /** null: the report does not say. */
  strictness: Strictness | null;
  /** As the report's window has it; null: it has a memslot. */
  trapped: { exits: number } | null;
  combined: { stage1: string; effective: string }[];
  /** What bench measured of it; null: nothing. */
  measured: Measured | null;
  /** Checks that can tell the type from others: those that matched, of those that were asked. */
  observed: Part;
  summary: Summary;
}

/** Of the stage-1 type that a driver uses for write-combining: its largest bursts, and a store's way there and back. */
export interface Measured {
  stage1: string;
  stores: Figure | null;
  writeToVisible: Figure | null;
  meaningless: boolean;
}

/** The windows with an attribute and their indexes, the control not among them. */
export function windowsOf(report: Report, attribute: Attribute): readonly (readonly [number, ReportWindow])[] {
  return [...report.windows.entries()].filter(
    ([, window]) => window.attribute === attribute && !isControl(report, window),
  );
}

/** null: the machine has no such window. */
export function attributeOnMachine(report: Report, attribute: Attribute): MachineAttribute | null {
  const windows = windowsOf(report, attribute);
  const [first] = windows;
  if (first === undefined) return null;
  const [index, { hostVma, stage2, strictness, trapped }] = first;
  const indexes = new Set(windows.map(([at]) => at));
  const types = new Map(
    report.checks.filter(({ window }) => window === index).map(({ stage1, effective }) => [stage1, effective]),
  );
  return {
    windows: windows.length,
    hostVma,
    stage2,
    strictness: strictness ?? null,
    trapped: trapped ?? null,
    combined: [...(types.size > 0 ? types : measuredTypes(report, index))].map(([stage1, effective]) => ({
      stage1,
      effective,
    })),
    measured: measuredOf(report, index),
    observed: shownBy(
      report.checks.filter(({ window }) => indexes.has(window)),
      'type',
    ),
    summary: summarise(report.checks.filter(({ window }) => indexes.has(window))),
  };
}

/** A report of bench has no checks, and says the same of types with its figures. */
function measuredTypes({ bench }: Report, index: number): ReadonlyMap<string, string> {
  return new Map(
    bench?.figures.filter(({ window }) => window === index).map(({ stage1, effective }) => [stage1, effective]),
  );
}

function measuredOf({ arch, bench }: Report, index: number): Measured | null {
  const stage1 = MODELS[arch].combiningType;
  const figures = bench?.figures.filter((figure) => figure.window === index && figure.stage1 === stage1) ?? [];
  if (bench === undefined || figures.length === 0) return null;
  const dense = figures
    .filter(({ quantity, stride }) => quantity === 'store-bandwidth' && stride === 8)
    .toSorted((a, b) => b.size - a.size);
  return {
    stage1,
    stores: dense[0] ?? null,
    writeToVisible: figures.find(({ quantity }) => quantity === 'write-to-visible') ?? null,
    meaningless: bench.meaningless !== null,
  };
}
