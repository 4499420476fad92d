import { ATTRIBUTES } from '../../../memattr/index.ts';
import type { Attribute } from '../../../memattr/index.ts';
import { Markup } from './markup.ts';

/** Of a window with the attribute: names of colours below. */
const ATTRIBUTE_COLOURS: Readonly<Record<Attribute, { ink: string; fill: string; edge: string }>> = {
  default: { ink: 'mute-ink', fill: 'raised', edge: 'soft' },
  device: { ink: 'strict-ink', fill: 'strict', edge: 'strict-ink' },
  wc: { ink: 'combining-ink', fill: 'combining', edge: 'combining-ink' },
};

function attributeRule(attribute: Attribute): string {
  const { ink, fill, edge } = ATTRIBUTE_COLOURS[attribute];
  return `.bar .${attribute}{color:var(--${ink})}.bar .${attribute} .fill{fill:var(--${fill})}.card.${attribute}{border-top-color:var(--${edge})}`;
}

/** Colours stand once, for light and for dark; every colour that means something comes with a mark, a pattern or a word. */
export const STYLE = new Markup(`
:root{--page:#fff;--raised:#f5f6f8;--ink:#16191d;--soft:#565e69;--line:#c9ced6;--link:#0b57a4;
--strict:#e3d9f7;--strict-ink:#3c1d7a;--combining:#d3e9f8;--combining-ink:#0a4468;--cached:#f7e3c5;--cached-ink:#643c00;
--good:#1a6b35;--good-fill:#dff1e3;--bad:#b3121d;--bad-fill:#fbdfe0;--odd:#7a5200;--odd-fill:#fdeec2;--mute:#e6e9ed;--mute-ink:#4b535e;--strict-line:#5b2fb5;--combining-line:#0a67a3;--cached-line:#8a5200}
@media(prefers-color-scheme:dark){:root{--page:#14171b;--raised:#1d2127;--ink:#e8ebef;--soft:#a4adb9;--line:#414a56;--link:#82bdf5;
--strict:#3d2d69;--strict-ink:#e2d6ff;--combining:#123f5e;--combining-ink:#cfe9ff;--cached:#56390d;--cached-ink:#ffe4b8;
--good:#7ed399;--good-fill:#17351f;--bad:#ff8d92;--bad-fill:#521a1e;--odd:#f0c561;--odd-fill:#453506;--mute:#2b3139;--mute-ink:#b9c1cc;--strict-line:#b596ff;--combining-line:#5cc0ff;--cached-line:#f5b452}}
*{box-sizing:border-box}
html{color-scheme:light dark;scroll-padding-top:1rem}
body{margin:0 auto;max-width:76rem;padding:1.25rem clamp(.9rem,3vw,2.5rem) 3rem;background:var(--page);color:var(--ink);font:1rem/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Liberation Sans",Arial,sans-serif}
h1{margin:0;font-size:clamp(1.5rem,4.5vw,2.1rem);line-height:1.15;letter-spacing:-.01em}
h2{margin:0 0 .25rem;font-size:1.4rem}h3{margin:2rem 0 .6rem;font-size:1.1rem}h4{margin:0 0 .5rem;font-size:1rem}
p{margin:.5rem 0}a{color:var(--link)}
a:focus-visible,summary:focus-visible,[tabindex]:focus-visible{outline:3px solid var(--link);outline-offset:2px}
.brand{margin:0;font:600 .85rem ui-monospace,"DejaVu Sans Mono",monospace;color:var(--soft)}
.skip{position:absolute;left:-99rem}.skip:focus{left:1rem;top:.5rem;background:var(--page);padding:.3rem .6rem;z-index:2}
.hidden{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%);white-space:nowrap}
.narrow{display:none;margin-top:.2rem;font-weight:400}
.small{font-size:.85rem;color:var(--soft)}.facts{color:var(--soft)}
.emulated{margin:.9rem 0 0;padding:.5rem .8rem;border:2px dashed var(--odd);border-radius:.4rem;background:var(--odd-fill);color:var(--ink)}
nav ul{display:flex;flex-wrap:wrap;gap:.3rem 1.2rem;margin:1rem 0 0;padding:0;list-style:none}
section{margin-top:2rem}.machine+.machine{border-top:1px solid var(--line);padding-top:2rem}
.verdict{margin:1rem 0;padding:.8rem 1rem;border-left:.4rem solid var(--good);border-radius:.3rem;background:var(--raised)}
.verdict.broken{border-color:var(--bad);background:var(--bad-fill)}
.verdict p{margin:0 0 .5rem;font-size:1.15rem;font-weight:600}
.verdict.unproven{border-color:var(--odd);background:var(--odd-fill)}
.mark{color:var(--good);font-weight:700}.broken .mark{color:var(--bad)}.unproven .mark{color:var(--odd)}
.proof{margin:.4rem 0;font-size:.9rem}.proof div{display:grid;grid-template-columns:7rem 1fr;gap:.6rem}.proof dt{color:var(--soft)}.proof dd{margin:0}
svg{display:block}svg text{fill:currentColor;font:600 .85rem system-ui,"Liberation Sans",sans-serif}
.verdicts{border-radius:.2rem}rect.match{fill:var(--good)}rect.mismatch{fill:var(--bad)}rect.erratum{fill:var(--odd)}rect.unobservable{fill:var(--soft);opacity:.55}rect.skipped{fill:var(--line)}
.counts{display:flex;flex-wrap:wrap;gap:.1rem 1rem;margin:.35rem 0 0;padding:0;list-style:none;font-size:.85rem}
.counts .mismatch .mark,.counts .mismatch{color:var(--bad)}.counts .erratum .mark{color:var(--odd)}.counts .unobservable .mark,.counts .skipped .mark{color:var(--soft)}
figure{margin:0 0 1rem}figcaption{margin-bottom:.1rem}
.bar .unmapped{fill:var(--mute)}.bar .outline{fill:none;stroke:var(--ink);stroke-width:1}
.bar .ink{fill:currentColor;opacity:.28}.bar .tick{font-weight:400;font-size:.8rem;fill:var(--soft)}
.bar text{paint-order:stroke;stroke:var(--page);stroke-width:3px;stroke-linejoin:round}.bar .tick{stroke:none}
.bar pattern .ink{fill:var(--soft)}
.cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,19rem),1fr));gap:.9rem}
.card{padding:.8rem 1rem;border:1px solid var(--line);border-top:.3rem solid;border-radius:.4rem;background:var(--raised)}
${ATTRIBUTES.map(attributeRule).join('\n')}
.card h4{font-family:ui-monospace,"DejaVu Sans Mono",monospace}
dl{margin:0}dl div{display:flex;gap:.6rem;margin:.2rem 0}dt{flex:0 0 7rem;color:var(--soft)}dd{margin:0;min-width:0;overflow-wrap:anywhere}
dl.facts dt{flex-basis:16rem}dl.probes{columns:18rem;margin-top:.4rem}dl.probes div{break-inside:avoid;margin:0}dl.probes dt{font-family:ui-monospace,"DejaVu Sans Mono",monospace}
.chip{display:inline-block;padding:.05rem .45rem;border-radius:.25rem;font:600 .85rem/1.5 ui-monospace,"DejaVu Sans Mono",monospace;white-space:nowrap}
.chip.strict{background:var(--strict);color:var(--strict-ink);border-left:.25rem solid var(--strict-ink)}
.chip.combining{background:var(--combining);color:var(--combining-ink);border-left:.25rem dotted var(--combining-ink)}
.chip.cached{background:var(--cached);color:var(--cached-ink);border-left:.25rem double var(--cached-ink)}
.chip.unknown{background:var(--mute);color:var(--mute-ink)}
.wrong,.chip.wrong{outline:2px solid var(--bad);color:var(--bad)}
.scroll{overflow-x:auto;border:1px solid var(--line);border-radius:.4rem}
table{border-collapse:separate;border-spacing:0;width:100%;font-size:.9rem}
th,td{padding:.25rem .4rem;text-align:left;vertical-align:middle}
thead th{font-size:.8rem;color:var(--soft);white-space:nowrap;vertical-align:bottom}
thead abbr{text-decoration:none;font-family:ui-monospace,"DejaVu Sans Mono",monospace}
.band{border-bottom:3px solid var(--line);color:var(--ink)}.band.observed{border-color:var(--link)}.band.programmed{border-color:var(--good)}.band.predicted{border-color:var(--odd)}
tr.window th{padding-top:.7rem;border-top:1px solid var(--line);background:var(--raised)}.window .stay{position:sticky;left:.4rem}
.matrix th.stage1{position:sticky;left:0;z-index:1;background:var(--page);font-family:ui-monospace,"DejaVu Sans Mono",monospace;font-weight:400;white-space:nowrap}
.matrix thead th.stage1{font-family:inherit}
td.programmed .small{display:block}.card .chip{white-space:normal}
td.programmed{border-left:1px solid var(--line);border-right:1px solid var(--line);text-align:center;width:8.5rem;min-width:8.5rem}
.matrix tbody tr:not(.window) td.tile{border:2px solid var(--page)}
.tile{font:600 .8rem/1.35 ui-monospace,"DejaVu Sans Mono",monospace;text-align:center;border-radius:.3rem;white-space:nowrap;padding:.2rem .3rem;min-width:2.3rem}
.tile,.machines th{position:relative}
.tile a{color:inherit;display:block;text-decoration:none}.tile sup{font-size:.65rem;line-height:0}
.worked{background:var(--good-fill);color:var(--good)}.fault{background:var(--strict);color:var(--strict-ink)}
.lost{background:var(--cached);color:var(--cached-ink)}.none{background:var(--mute);color:var(--mute-ink)}
.tile.unobservable{background:var(--mute);color:var(--mute-ink);font-weight:400;font-style:italic}
.tile.skipped{background:none;color:var(--soft)}
.tile.erratum{background:var(--odd-fill);color:var(--odd);text-decoration:underline dotted}
.matrix tbody tr:not(.window) td.tile.mismatch,.key .tile.mismatch{background:var(--bad);color:var(--page);border:2px solid var(--ink)}
.key{display:flex;flex-wrap:wrap;gap:.4rem 1.1rem;margin:.7rem 0;padding:0;list-style:none;font-size:.85rem}.key .tile{display:inline-block}
summary{cursor:pointer}details{margin:.3rem 0}
.mismatches{padding:.6rem 1rem .6rem 2rem;border:2px solid var(--bad);border-radius:.4rem;background:var(--bad-fill)}
.notes li{margin:.25rem 0;padding:.1rem .3rem}.notes b{color:var(--soft)}.notes .erratum b{color:var(--odd)}
.notes li:target,.mismatches:target{outline:3px solid var(--link)}
.machines th,.machines td{vertical-align:top;min-width:9rem}.machines tbody th[scope=row]{font-weight:400;color:var(--soft);white-space:nowrap}
.machines thead th{font-size:1rem;color:var(--ink)}.machines th.differs{color:var(--odd)!important;font-weight:700!important}
.machines .asks{font:.85rem ui-monospace,"DejaVu Sans Mono",monospace}
code{font-family:ui-monospace,"DejaVu Sans Mono",monospace}
.stripes{background-image:repeating-linear-gradient(-45deg,transparent 0 14px,color-mix(in srgb,var(--odd) 14%,transparent) 14px 28px)}
.plots{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,26rem),1fr));gap:1.2rem}
.plot{padding:.7rem .8rem;border:1px solid var(--line);border-radius:.4rem;margin:0}.plot>svg{width:100%;height:auto}
.plot text{font-size:12px}.plot .tick{font-weight:400;font-size:11px;fill:var(--soft)}.plot .rule{stroke:var(--line);stroke-width:1}
.plot .watermark{font-size:30px;fill:var(--odd);opacity:.35}.plot .key{margin:.3rem 0 0;gap:.15rem .9rem;font:.8rem ui-monospace,"DejaVu Sans Mono",monospace}.plot .key svg{display:inline-block;vertical-align:middle;overflow:visible}
.plot .strict{color:var(--strict-line)}.plot .combining{color:var(--combining-line)}.plot .cached{color:var(--cached-line)}.plot .unknown{color:var(--soft)}
.line{fill:none;stroke:currentColor;stroke-width:1.8}.s1{stroke-dasharray:7 3}.s2{stroke-dasharray:2 3}.s3{stroke-dasharray:9 3 2 3}.s4{stroke-dasharray:4 2}.s5{stroke-dasharray:1 2}
.spread{stroke:currentColor;stroke-width:1;opacity:.7}.marker{fill:var(--page);stroke:currentColor;stroke-width:1.8}
.figures th[scope=row]{font-weight:400;white-space:nowrap}.figures .asks{font:.85rem ui-monospace,"DejaVu Sans Mono",monospace}.number{text-align:right;white-space:nowrap;font-variant-numeric:tabular-nums}
.figures tbody tr:nth-child(even){background:var(--raised)}
footer{margin-top:3rem;border-top:1px solid var(--line);color:var(--soft);font-size:.9rem}
.machines thead th:first-child{font-size:.8rem;font-weight:400;color:var(--soft)}
@media(max-width:40rem){.machines th,.machines td{min-width:7.5rem;font-size:.82rem}.machines tbody th[scope=row]{min-width:0;white-space:normal!important}.wide{display:none}.narrow{display:block!important}.matrix th.stage1,.matrix .chip,.tile{font-size:.75rem}.matrix th,.matrix td{padding:.2rem .25rem}dl.facts div{display:block}dl.facts dt{margin-top:.4rem}.notes{padding-left:1.6rem}}
@media print{.scroll{overflow:visible}body{max-width:none}}
`);
