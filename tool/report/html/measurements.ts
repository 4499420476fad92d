/** What was measured: bandwidth by burst size as a plot per window, and every figure as a table; verify's own two probes as a table. */
import { number, rowsOf, seriesOf } from '../bench.ts';
import type { Series } from '../bench.ts';
import { isControl } from '../report.ts';
import type { Bench, Figure, Report } from '../report.ts';
import { html } from './markup.ts';
import type { Markup } from './markup.ts';
import { typeChip } from './matrix.ts';
import { plot, rangeOf } from './plot.ts';

/** @param prefix of ids */
export function measurementSection(report: Report, prefix: string): Markup | null {
  if (report.bench !== undefined) return benchSection(report, report.bench, prefix);
  const measured = report.checks.filter((check) => check.measured !== undefined && check.measured.ticks > 0);
  return measured.length === 0
    ? null
    : html`<h3>Measured by verify</h3>
${notHardware(report.platform.emulator === null ? null : `measured in ${report.platform.emulator}, which models no caches, write buffers or buses`)}
<p class="small">Two of the probes measure time. <code>wcvmm bench</code> measures with more care.</p>
<details><summary>${measured.length} figures</summary>${checkTable(report)}</details>`;
}

/** A mark that cannot be overlooked: words, a frame, and stripes. */
function notHardware(meaningless: string | null): Markup | null {
  return meaningless === null
    ? null
    : html`<p class="emulated stripes" role="note"><b>Not a hardware figure:</b> ${meaningless}.</p>`;
}

function benchSection(report: Report, { meaningless, runs, figures }: Bench, prefix: string): Markup {
  const [bySize, ...others] = seriesOf(figures);
  const windows = [...report.windows.entries()].filter(([index]) => figures.some(({ window }) => window === index));
  const range = rangeOf(figures.filter((figure) => bySize?.columns.some(({ has }) => has(figure))));
  return html`<h3>Measured</h3>
${notHardware(meaningless)}
${
  bySize === undefined
    ? null
    : html`<p>Bandwidth of stores by the size of a burst, ${figures.find(({ quantity }) => quantity === 'store-bandwidth')?.unit ?? ''}; both scales are logarithmic. A line for each stage-1 type of the guest; bars from quartile to quartile of ${runs} runs.</p>
<div class="plots">${windows.map(([index, window]) =>
        plot({
          id: `${prefix}-plot${index}`,
          title: `${index} ${isControl(report, window) ? 'control: ordinary memory' : window.attribute}`,
          figures: figures.filter((figure) => figure.window === index && bySize.columns.some(({ has }) => has(figure))),
          range,
          meaningless: meaningless !== null,
        }),
      )}</div>
<details><summary>The same as a table</summary>${seriesTable(report, bySize)}</details>`
}
${others.map((series) => html`<h4>${series.title}</h4>${seriesTable(report, series)}`)}
<p class="small">Medians of ${runs} runs, between their quartiles. Each burst ends with a barrier, so its stores have arrived. The control is ordinary memory: it shows what the loop itself costs.</p>`;
}

function seriesTable(report: Report, { title, columns }: Series): Markup {
  const body = rowsOf(report).map(({ window, stage1, effective, figures }) => {
    const cells = columns.map(({ has }) => figures.find(has));
    const of = report.windows[window];
    const name = of !== undefined && isControl(report, of) ? 'control' : (of?.attribute ?? '');
    return html`<tr><th scope="row">${window} ${name} <span class="asks">${stage1} →</span> ${typeChip(effective)}</th>${cells.map(figureCell)}</tr>
`;
  });
  return html`<div class="scroll" role="region" aria-label="${title}" tabindex="0"><table class="figures"><thead><tr><th scope="col">window, stage 1 → effective type</th>${columns.map(({ head }) => html`<th scope="col" class="number">${head}</th>`)}</tr></thead><tbody>${body}</tbody></table></div>`;
}

function figureCell(figure: Figure | undefined): Markup {
  if (figure === undefined) return html`<td></td>`;
  return html`<td class="number">${number(figure.median)} <span class="small">${number(figure.low)}–${number(figure.high)}</span></td>`;
}

function checkTable({ checks, windows }: Report): Markup {
  const rows = checks.flatMap(({ window, stage1, effective, probe, measured }) => {
    if (measured === undefined || measured.ticks === 0) return [];
    const { amount, ticks, ticksPerSecond } = measured;
    const seconds = ticksPerSecond > 0 ? ticks / ticksPerSecond : null;
    const isRate = probe === 'store-bandwidth';
    const value =
      seconds === null
        ? `${ticks} ticks for ${amount}`
        : isRate
          ? `${number(amount / seconds / 1e6)} MB/s`
          : `${number((seconds * 1e9) / Math.max(amount, 1))} ns`;
    return [
      html`<tr><th scope="row">${window} ${windows[window]?.attribute ?? ''} <span class="asks">${stage1} →</span> ${typeChip(effective)}</th><td>${probe}</td><td class="number">${value}</td></tr>`,
    ];
  });
  return html`<div class="scroll" role="region" aria-label="Measured by verify" tabindex="0"><table class="figures"><thead><tr><th scope="col">window, stage 1 → effective type</th><th scope="col">probe</th><th scope="col" class="number">took</th></tr></thead><tbody>${rows}</tbody></table></div>`;
}
