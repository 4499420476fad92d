/** Predicted × programmed × observed: a row per window and stage-1 type, a tile per answer. What is not a match links to its reason. */
import { PROBES, kindOfType } from '../../../memattr/index.ts';
import type { ProbeName } from '../../../memattr/index.ts';
import type { NamedReport } from '../machine.ts';
import { MARK } from '../matrix.ts';
import type { Note } from '../notes.ts';
import { isContradicted, isControl } from '../report.ts';
import type { Check, Report, ReportWindow } from '../report.ts';
import { OUTCOME_WORDS, VERDICT_WORDS, predictedText, probeLegend, shortProbe, windowRange } from '../words.ts';
import { kindOfOutcome } from './kind.ts';
import { html } from './markup.ts';
import type { Markup } from './markup.ts';

/**
 * @param name of the machine
 * @param prefix of the ids of notes
 */
export function matrixTable({ name, report }: NamedReport, notes: readonly Note[], prefix: string): Markup {
  // Measurements say nothing as a tile: they have a section of their own.
  const probes = PROBES.filter((probe) =>
    report.checks.some((check) => check.probe === probe && check.predicted !== 'measurement'),
  );
  const noteOf = new Map(notes.flatMap(({ number, checks }) => checks.map((check) => [check, number] as const)));
  const bodies = [...report.windows.entries()].map(([index, window]) =>
    windowRows({ report, index, window, probes, noteOf, prefix }),
  );
  return html`<div class="scroll" role="region" aria-label="${name}: predicted, programmed and observed, by window and stage-1 type" tabindex="0"><table class="matrix">
<caption class="hidden">For every window and every stage-1 type of a guest: what the model predicts, what the kernel programmed, and what the guest observed with each probe</caption>
<thead><tr>
<th rowspan="2" scope="col" class="stage1">guest stage 1</th>
<th scope="col" class="band predicted">predicted</th>
<th scope="col" class="band programmed wide">programmed</th>
<th colspan="${probes.length}" scope="colgroup" class="band observed">observed by the guest</th>
</tr>
<tr><th scope="col">effective (computed)</th><th scope="col" class="wide">stage 2</th>${probes.map((probe) => html`<th scope="col"><abbr title="${probe}">${shortProbe(probe)}</abbr></th>`)}</tr></thead>
${bodies}</table></div>`;
}

interface Rows {
  readonly report: Report;
  readonly index: number;
  readonly window: ReportWindow;
  readonly probes: readonly ProbeName[];
  readonly noteOf: ReadonlyMap<Check, number>;
  readonly prefix: string;
}

function windowRows({ report, index, window, probes, noteOf, prefix }: Rows): Markup {
  const checks = report.checks.filter(({ window: of, offset }) => of === index && offset === undefined);
  const types = [...new Set(checks.map(({ stage1 }) => stage1))];
  if (types.length === 0) return html``;
  const title = isControl(report, window)
    ? `${index} control: ordinary memory`
    : `${index} ${window.attribute}, ${windowRange(window)}`;
  const rows = types.map((stage1, row) => {
    const ofType = new Map(checks.filter((check) => check.stage1 === stage1).map((check) => [check.probe, check]));
    const effective = [...ofType.values()][0]?.effective ?? '';
    return html`<tr><th scope="row" class="stage1">${stage1}</th><td>${typeChip(effective)}</td>${row === 0 ? programmedCell(window, types.length) : null}${probes.map((probe) => tile(ofType.get(probe), noteOf, prefix))}</tr>
`;
  });
  return html`<tbody><tr class="window"><th colspan="${probes.length + 3}" scope="rowgroup"><span class="stay">${title}<span class="narrow">stage 2 ${programmedText(window)}</span></span></th></tr>
${rows}</tbody>`;
}

export function typeChip(type: string, text = type): Markup {
  return html`<span class="chip ${kindOfType(type)}">${text || 'unknown'}</span>`;
}

/** On a narrow screen the column gives way to a line above the rows. */
function programmedCell(window: ReportWindow, rows: number): Markup {
  return html`<td rowspan="${rows}" class="programmed wide">${programmedText(window)}</td>`;
}

function programmedText({ stage2, trapped }: ReportWindow): Markup {
  const { predicted, programmed } = stage2;
  if (trapped !== undefined) return html`none: trapped`;
  if (programmed === null) return html`not read back <span class="small">${predicted} predicted</span>`;
  const wrong = isContradicted(stage2);
  return html`<span class="chip ${kindOfType(programmed)}${wrong ? ' wrong' : ''}">${programmed}</span> <span class="small">${wrong ? `✗ not ${predicted}` : '✓ as predicted'}</span>`;
}

/** What was seen; where it is no match, a mark, and a link to the reason. */
function tile(check: Check | undefined, noteOf: ReadonlyMap<Check, number>, prefix: string): Markup {
  if (check === undefined) return html`<td class="tile absent"><span class="hidden">not run</span></td>`;
  const { observed, verdict, probe } = check;
  const word = observed === null ? '–' : OUTCOME_WORDS[observed].short;
  const classes = `tile ${kindOfOutcome(observed)} ${verdict}`;
  if (verdict === 'match') return html`<td class="${classes}">${word}</td>`;
  const seen = observed === null ? 'nothing' : OUTCOME_WORDS[observed].meaning;
  const target = verdict === 'mismatch' ? `${prefix}-mismatches` : `${prefix}-note${noteOf.get(check) ?? ''}`;
  return html`<td class="${classes}"><a href="#${target}">${word}<sup>${MARK[verdict]}${noteOf.get(check) ?? ''}</sup><span class="hidden"> ${probe}: ${seen}, predicted ${predictedText(check)}: ${VERDICT_WORDS[verdict]}</span></a></td>`;
}

/** What the heads and the tiles mean. */
export function matrixLegend({ checks }: Report): Markup {
  const legend = probeLegend(new Set(checks.map(({ probe }) => probe))).map(
    ({ shorts, meaning }) => html`<div><dt>${shorts}</dt><dd>${meaning}</dd></div>`,
  );
  return html`<ul class="key" aria-label="Tiles">
<li><span class="tile worked">ok</span> it worked</li>
<li><span class="tile fault">aln</span> it faulted</li>
<li><span class="tile lost">lost</span> data or the VM was lost</li>
<li><span class="tile none">n/a</span> not possible here</li>
<li><span class="tile mismatch">ok<sup>✗</sup></span> mismatch</li>
<li><span class="tile erratum">ok<sup>!</sup></span> erratum of the emulator</li>
<li><span class="tile worked unobservable">ok<sup>?</sup></span> says nothing about the type</li>
</ul>
<details><summary>Probes</summary><dl class="probes">${legend}</dl></details>`;
}
