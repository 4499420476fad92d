/** A BAR drawn to scale, with its windows. Positions are percentages, so that text keeps its size on any screen. */
import { ATTRIBUTES } from '../../../memattr/index.ts';
import type { Attribute } from '../../../memattr/index.ts';
import { formatSize } from '../../../common/size.ts';
import { isControl } from '../report.ts';
import type { Report, ReportWindow } from '../report.ts';
import { windowRange } from '../words.ts';
import { html } from './markup.ts';
import type { Markup } from './markup.ts';

/** Percent of the width: narrower, a window is drawn so wide all the same, to be seen. */
const NARROWEST = 0.6;
const ROOM_FOR_NUMBER = 4;
const ROOM_FOR_NAME = 17;
const ROOM_FOR_TICK = 14;

interface Drawn {
  readonly index: number;
  readonly window: ReportWindow;
}

/** @param prefix for ids, unlike those of other pictures in the page */
export function barPictures(report: Report, prefix: string): readonly Markup[] {
  const windows = [...report.windows.entries()]
    .filter(([, window]) => !isControl(report, window))
    .map(([index, window]): Drawn => ({ index, window }));
  const bars = [...new Set(windows.map(({ window }) => window.bar))].sort((a, b) => a - b);
  return bars.map((bar) =>
    picture(
      report,
      bar,
      windows.filter(({ window }) => window.bar === bar),
      `${prefix}-bar${bar}`,
    ),
  );
}

/** What is drawn: the offsets at its left and right edge, in bytes. */
interface Stretch {
  readonly start: number;
  readonly end: number;
}

/** Windows in less than this part of a BAR are drawn a second time, magnified. */
const SMALL_PART = 1 / 16;

function picture({ device }: Report, bar: number, windows: readonly Drawn[], id: string): Markup {
  const known = device.bars?.find((one) => one.bar === bar)?.size ?? 0;
  const mapped: Stretch = {
    start: Math.min(...windows.map(({ window }) => window.offset)),
    end: Math.max(...windows.map(({ window }) => window.offset + window.length)),
  };
  const whole: Stretch = { start: 0, end: Math.max(known, mapped.end) };
  const name = device.source === 'memory' ? 'Memory instead of a BAR' : `BAR ${bar}`;
  const size =
    known === whole.end
      ? formatSize(BigInt(known))
      : `drawn up to ${formatSize(BigInt(whole.end))}; the report does not say how large it is`;
  const isSmall = mapped.end - mapped.start < SMALL_PART * (whole.end - whole.start);
  return html`<figure>
<figcaption><b>${name}</b>, ${size}</figcaption>
${drawing(windows, whole, id, `${name}, ${size}`)}
${isSmall ? html`<figcaption>The part with windows, magnified</figcaption>${drawing(windows, mapped, `${id}-part`, `${name}, the part with windows`)}` : null}
</figure>`;
}

function drawing(windows: readonly Drawn[], stretch: Stretch, id: string, what: string): Markup {
  return html`<svg class="bar" width="100%" height="68" role="img" aria-labelledby="${id}">
<title id="${id}">${what}: ${windows.map(({ window }) => `${windowRange(window)} ${window.attribute}`).join(', ')}</title>
<defs>${patterns(id)}</defs>
<rect class="unmapped" x="0" y="2" width="100%" height="44"/>
${windows.map((drawn) => windowPicture(drawn, stretch, id))}
<rect class="outline" x="0" y="2" width="100%" height="44"/>
${ticks(windows, stretch)}
</svg>`;
}

function windowPicture({ index, window }: Drawn, stretch: Stretch, id: string): Markup {
  const { attribute, offset, length } = window;
  const width = Math.max(place(offset + length, stretch) - place(offset, stretch), NARROWEST);
  const x = Math.min(place(offset, stretch), 100 - width);
  const label = width >= ROOM_FOR_NAME ? `${index} ${attribute}` : width >= ROOM_FOR_NUMBER ? String(index) : '';
  const at = html`x="${places(x)}%" y="2" width="${places(width)}%" height="44"`;
  return html`<g class="${attribute}"><rect class="fill" ${at}/><rect ${at} fill="url(#${id}-${attribute})"/><rect class="outline" ${at}/>
${label === '' ? null : html`<text x="${places(x + width / 2)}%" y="29" text-anchor="middle">${label}</text>`}</g>
`;
}

/** The offsets where windows start and end, as far as there is room. */
function ticks(windows: readonly Drawn[], stretch: Stretch): readonly Markup[] {
  const { start, end } = stretch;
  const offsets = [
    ...new Set(windows.flatMap(({ window }) => [window.offset, window.offset + window.length]).concat(start, end)),
  ].sort((a, b) => a - b);
  let last = -Infinity;
  return offsets.flatMap((offset) => {
    const x = place(offset, stretch);
    if (offset !== end && (x - last < ROOM_FOR_TICK || 100 - x < ROOM_FOR_TICK)) return [];
    last = x;
    const anchor = offset === start ? 'start' : offset === end ? 'end' : 'middle';
    return [
      html`<text class="tick" x="${places(x)}%" y="63" text-anchor="${anchor}">${formatSize(BigInt(offset))}</text>`,
    ];
  });
}

interface Pattern {
  readonly turned: boolean;
  readonly ink: Markup | null;
}

/** Not by colour alone: device is hatched, default dotted, wc plain. */
const PATTERN: Readonly<Record<Attribute, Pattern>> = {
  device: { turned: true, ink: html`<rect class="ink" width="2" height="8"/>` },
  default: { turned: false, ink: html`<circle class="ink" cx="3" cy="3" r="1.2"/>` },
  wc: { turned: false, ink: null },
};

function patterns(id: string): readonly Markup[] {
  return ATTRIBUTES.map((attribute) => {
    const { turned, ink } = PATTERN[attribute];
    const turn = turned ? html` patternTransform="rotate(45)"` : null;
    return html`<pattern id="${id}-${attribute}" width="8" height="8" patternUnits="userSpaceOnUse"${turn}>${ink}</pattern>
`;
  });
}

/** Percent of the width. */
function place(offset: number, { start, end }: Stretch): number {
  return end > start ? (100 * (offset - start)) / (end - start) : 0;
}

function places(value: number): string {
  return value.toFixed(3);
}
