/** Machines side by side: the table of `wcvmm compare`. */
import type { NamedReport } from '../machine.ts';
import type { MachineAttribute } from '../machine-attribute.ts';
import { measuredText } from '../machines-text.ts';
import { compareMachines } from '../machines.ts';
import type { AttributeRow, Comparison } from '../machines.ts';
import { OUTCOME_WORDS, VERDICT_WORDS, evidenceText } from '../words.ts';
import { html } from './markup.ts';
import type { Markup } from './markup.ts';
import { typeChip } from './matrix.ts';
import { verdictBar } from './verdicts.ts';

export function machinesSection(reports: readonly NamedReport[]): Markup {
  const comparison = compareMachines(reports);
  return html`<section aria-labelledby="machines"><h2 id="machines">Machines side by side</h2>
<div class="scroll" role="region" aria-label="Table of the machines" tabindex="0"><table class="machines">
<thead><tr><th scope="col">attribute</th>${reports.map(({ name }, index) => html`<th scope="col"><a href="#m${index}">${name}</a></th>`)}</tr></thead>
${comparison.attributes.map((row) => attributeBody(row, reports.length))}
<tbody><tr class="window"><th colspan="${reports.length + 1}" scope="rowgroup">all checks</th></tr><tr><th scope="row">verdicts</th>${reports.map(({ report }) => html`<td>${verdictBar(report.summary)}</td>`)}</tr></tbody>
</table></div>
<p class="small">≠: comparable and different.</p>
${differenceList(comparison)}
${comparison.incomparable.length > 0 ? html`<p>Not compared:</p><ul>${comparison.incomparable.map((what) => html`<li>${what}</li>`)}</ul>` : null}</section>`;
}

function attributeBody({ attribute, machines, differs, combinedDiffers }: AttributeRow, count: number): Markup {
  const cells = (cell: (entry: MachineAttribute) => Markup): readonly Markup[] =>
    machines.map((entry) =>
      entry === null ? html`<td class="small">no such window</td>` : html`<td>${cell(entry)}</td>`,
    );
  const types = Math.max(0, ...machines.map((entry) => entry?.combined.length ?? 0));
  const combined = Array.from({ length: types }, (_, row) => {
    const pairs = machines.map((entry) => entry?.combined[row]);
    const differ = pairs.some((pair) => pair !== undefined && combinedDiffers.includes(pair.stage1));
    return html`<tr>${head(row === 0 ? 'effective type (computed)' : html`<span class="hidden">effective type (computed)</span>`, differ)}${pairs.map((pair) => html`<td>${pair === undefined ? null : html`<span class="asks">${short(pair.stage1)} →</span> ${typeChip(pair.effective, short(pair.effective))}`}</td>`)}</tr>`;
  });
  const isMeasured = machines.some((entry) => entry !== null && entry.measured !== null);
  const measured = isMeasured
    ? html`<tr>${head('stores', false)}${cells((entry) => html`${measuredText(entry.measured, 'stores')}`)}</tr>
<tr>${head('write to visible', false)}${cells((entry) => html`${measuredText(entry.measured, 'writeToVisible')}`)}</tr>`
    : null;
  return html`<tbody><tr class="window"><th colspan="${count + 1}" scope="rowgroup">${attribute}</th></tr>
<tr>${head('host mapping', differs.includes('hostVma'))}${cells(({ hostVma }) => html`${evidenceText(hostVma)}`)}</tr>
<tr>${head('stage 2', differs.includes('stage2'))}${cells(({ stage2, trapped }) => html`${trapped === null ? evidenceText(stage2) : 'none: trapped'}`)}</tr>
<tr>${head('strict', differs.includes('strictness'))}${cells(strictness)}</tr>
${combined}
${measured}
<tr>${head('type observed', false)}${cells(({ observed }) => html`by ${String(observed.shown)} of ${String(observed.of)} checks`)}</tr>
<tr>${head('verdicts', false)}${cells(({ summary }) => verdictBar(summary))}</tr></tbody>
`;
}

/** nGnRE is short for Device-nGnRE. */
function short(type: string): string {
  return type.replaceAll('Device-', '');
}

function head(text: string | Markup, differs: boolean): Markup {
  return html`<th scope="row"${differs ? html` class="differs"` : null}>${differs ? html`<span role="img" aria-label="different:">≠</span> ` : null}${text}</th>`;
}

function strictness({ strictness, trapped }: MachineAttribute): Markup {
  if (strictness === null) return html`not known`;
  const word = strictness.strict ? `✓ yes${trapped === null ? '' : ', by trapping'}` : '✗ no';
  return html`<details><summary>${word}</summary>${strictness.why}</details>`;
}

function differenceList({ differences, machines }: Comparison): Markup | null {
  if (differences.length === 0) return null;
  const rows = differences.map(
    ({ attribute, stage1, probe, machines: answers }) =>
      html`<tr><th scope="row">${attribute}, ${stage1}, ${probe}</th>${answers.map((answer) => html`<td>${answer === null ? 'not run' : `${answer.observed === null ? 'no result' : OUTCOME_WORDS[answer.observed].meaning} (${VERDICT_WORDS[answer.verdict]})`}</td>`)}</tr>`,
  );
  return html`<details><summary>${differences.length} checks with different results on machines of one architecture</summary>
<div class="scroll" role="region" aria-label="Different results" tabindex="0"><table class="machines"><thead><tr><th scope="col">window, stage 1, probe</th>${machines.map(({ name }) => html`<th scope="col">${name}</th>`)}</tr></thead><tbody>${rows}</tbody></table></div></details>`;
}
