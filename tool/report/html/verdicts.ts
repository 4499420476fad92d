import { MARK } from '../matrix.ts';
import { VERDICTS } from '../report.ts';
import type { Summary } from '../report.ts';
import { verdictCount } from '../words.ts';
import { html } from './markup.ts';
import type { Markup } from './markup.ts';

/** How many checks came to which verdict: a bar to scale, and the numbers. */
export function verdictBar(summary: Summary): Markup {
  const total = VERDICTS.reduce((sum, verdict) => sum + summary[verdict], 0);
  const some = VERDICTS.filter((verdict) => summary[verdict] > 0);
  if (total === 0) return html`<span class="small">no checks</span>`;
  let x = 0;
  const parts = some.map((verdict) => {
    const width = (100 * summary[verdict]) / total;
    const part = html`<rect class="${verdict}" x="${x.toFixed(2)}%" y="0" width="${width.toFixed(2)}%" height="10"/>`;
    x += width;
    return part;
  });
  return html`<svg class="verdicts" width="100%" height="10" aria-hidden="true">${parts}</svg><ul class="counts">${some.map((verdict) => html`<li class="${verdict}"><span class="mark" aria-hidden="true">${MARK[verdict] || '✓'}</span> ${verdictCount(verdict, summary[verdict])}</li>`)}</ul>`;
}
