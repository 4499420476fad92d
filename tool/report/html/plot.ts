/** A plot of bandwidth by burst size: a line and a marker of its own for each stage-1 type, its name at the line's end or in the key. */
import { kindOfType } from '../../../memattr/index.ts';
import { number } from '../bench.ts';
import type { Figure } from '../report.ts';
import { html } from './markup.ts';
import type { Markup } from './markup.ts';

export interface Plot {
  readonly id: string;
  readonly title: string;
  readonly figures: readonly Figure[];
  /** Of all plots beside each other, so that their heights compare. */
  readonly range: Range;
  readonly meaningless: boolean;
}

/** Powers of ten. */
export interface Range {
  readonly bottom: number;
  readonly top: number;
}

const [WIDTH, HEIGHT] = [360, 230];
const BOX = { left: 46, right: 350, top: 14, bottom: 196 } as const;
const LEAST_DECADES = 3;
/** What is smaller is drawn at the bottom. */
const MOST_DECADES = 12;
const SMALLEST = 1e-3;

export function plot({ id, title, figures, range, meaningless }: Plot): Markup {
  const types = [...new Set(figures.map(({ stage1 }) => stage1))];
  const sizes = [...new Set(figures.map(({ size }) => size))].sort((a, b) => a - b);
  const scale: Scale = { sizes, ...range };
  const text = types.map((type) => describe(figures.filter(({ stage1 }) => stage1 === type))).join('; ');
  return html`<figure class="plot"><figcaption><b>${title}</b></figcaption>
<svg viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-labelledby="${id}"><title id="${id}">${title}: ${text}</title>
${grid(scale)}
${meaningless ? html`<text class="watermark" x="198" y="112" text-anchor="middle" transform="rotate(-22 198 112)">not hardware</text>` : null}
${types.map((type, index) =>
  line(
    figures.filter(({ stage1 }) => stage1 === type),
    index,
    scale,
  ),
)}
<text class="tick" x="198" y="226" text-anchor="middle">bytes</text></svg>
<ul class="key">${types.map((type, index) => html`<li><svg width="26" height="12" aria-hidden="true" class="${kindOfType(effectiveOf(figures, type))}"><path class="line s${index}" d="M0 6H26"/>${marker(index, 13, 6)}</svg> ${type} → ${effectiveOf(figures, type)}</li>`)}</ul></figure>
`;
}

interface Scale extends Range {
  readonly sizes: readonly number[];
}

/** Whole decades that hold all figures, three of them at least: a narrow range would make noise look like news. */
export function rangeOf(figures: readonly Figure[]): Range {
  const values = figures.flatMap(({ low, high }) => [low, high]).filter((value) => value >= SMALLEST);
  if (values.length === 0) return { bottom: 0, top: LEAST_DECADES };
  const top = Math.ceil(Math.log10(Math.max(...values)));
  const bottom = Math.min(Math.floor(Math.log10(Math.min(...values))), top - LEAST_DECADES);
  return { bottom: Math.max(bottom, top - MOST_DECADES), top };
}

function effectiveOf(figures: readonly Figure[], type: string): string {
  return figures.find(({ stage1 }) => stage1 === type)?.effective ?? '';
}

function describe(figures: readonly Figure[]): string {
  const [first] = figures;
  return first === undefined
    ? ''
    : `${first.stage1} ${figures.map(({ size, median }) => `${number(median)} at ${size}`).join(', ')} ${first.unit}`;
}

function x(size: number, { sizes }: Scale): number {
  const [low, high] = [Math.log2(sizes[0] ?? 1), Math.log2(sizes.at(-1) ?? 1)];
  return high > low
    ? BOX.left + 8 + ((BOX.right - BOX.left - 16) * (Math.log2(size) - low)) / (high - low)
    : (BOX.left + BOX.right) / 2;
}

function y(value: number, { bottom, top }: Scale): number {
  const part = (Math.log10(Math.max(value, 10 ** bottom)) - bottom) / Math.max(top - bottom, 1);
  return BOX.bottom - (BOX.bottom - BOX.top) * Math.min(part, 1);
}

function grid(scale: Scale): readonly Markup[] {
  const powers = Array.from({ length: scale.top - scale.bottom + 1 }, (_, index) => scale.bottom + index);
  const across = powers.map(
    (
      power,
    ) => html`<path class="rule" d="M${BOX.left} ${places(y(10 ** power, scale))}H${BOX.right}"/><text class="tick" x="${BOX.left - 6}" y="${places(y(10 ** power, scale) + 4)}" text-anchor="end">${power >= 6 || power < -2 ? `1e${power}` : number(10 ** power)}</text>
`,
  );
  const down = scale.sizes.map(
    (size) =>
      html`<text class="tick" x="${places(x(size, scale))}" y="211" text-anchor="middle">${size >= 1024 && size % 1024 === 0 ? `${size / 1024}K` : size}</text>`,
  );
  return [...across, ...down];
}

function line(figures: readonly Figure[], index: number, scale: Scale): Markup {
  const sorted = figures.toSorted((a, b) => a.size - b.size);
  const at = ({ size, median }: Figure): string => `${places(x(size, scale))} ${places(y(median, scale))}`;
  const [first] = sorted;
  if (first === undefined) return html``;
  return html`<g class="${kindOfType(first.effective)}"><path class="line s${index}" d="M${sorted.map(at).join('L')}"/>${sorted.map(({ size, low, high }) => html`<path class="spread" d="M${places(x(size, scale))} ${places(y(low, scale))}V${places(y(high, scale))}"/>`)}${sorted.map(({ size, median }) => marker(index, x(size, scale), y(median, scale)))}</g>
`;
}

/** Circle, square, triangle, diamond, bar, cross: a shape of its own for each of the six types that a guest can have. */
const SHAPES = [
  'M-4 0a4 4 0 1 0 8 0a4 4 0 1 0-8 0',
  'M-3.5-3.5h7v7h-7z',
  'M0-4.5L4.5 3.5H-4.5z',
  'M0-5L5 0L0 5L-5 0z',
  'M-5-1.8h10v3.6h-10z',
  'M-4-4L4 4M-4 4L4-4',
];

function marker(index: number, left: number, top: number): Markup {
  return html`<path class="marker" transform="translate(${places(left)} ${places(top)})" d="${SHAPES[index % SHAPES.length] ?? ''}"/>`;
}

function places(value: number): string {
  return value.toFixed(1);
}
