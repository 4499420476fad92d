/** One page for a fleet: groups of hosts, closed until they are wanted, and a field that searches. Nothing is loaded from elsewhere. */
import { pageHead } from '../../report/html/head.ts';
import { Markup, html } from '../../report/html/markup.ts';
import { STYLE } from '../../report/html/style.ts';
import type { State } from '../judge.ts';
import { MARK, countText, isAsExpected, kindName, kindsOf } from '../text.ts';
import type { Fleet, Group } from '../tally.ts';
import { SEARCH_SCRIPT } from './search.ts';

/** Beside that of reports. A section that is out of sight costs the browser nothing. */
const OWN_STYLE = `
.kind{content-visibility:auto;contain-intrinsic-size:auto 20rem}
.group{margin:.6rem 0;padding:.5rem .8rem;border-left:.4rem solid var(--good);border-radius:.3rem;background:var(--raised)}
.group.differs{border-color:var(--bad)}.group.unverified{border-color:var(--odd)}
.group p{margin:0}.group .reasons{margin:.3rem 0;padding-left:1.2rem}.differs .mark{color:var(--bad)}.unverified .mark{color:var(--odd)}
.hosts{display:grid;grid-template-columns:repeat(auto-fill,minmax(14rem,1fr));gap:0 1rem;margin:.4rem 0;padding:0;list-style:none;font:.85rem ui-monospace,"DejaVu Sans Mono",monospace}
.hosts li{overflow-wrap:anywhere}
.group dl{font-size:.85rem}.odd{color:var(--odd)}
.search{margin:1rem 0}.search input{font:inherit;width:min(100%,24rem);padding:.3rem .5rem;color:var(--ink);background:var(--page);border:1px solid var(--soft);border-radius:.3rem}
[hidden]{display:none!important}
`;
const SHEET = new Markup(STYLE.text + OWN_STYLE);
const SCRIPT = new Markup(SEARCH_SCRIPT);

const CLASS: Readonly<Record<State, string>> = {
  'as expected': 'expected',
  differs: 'differs',
  'not verified': 'unverified',
};

export function formatFleetHtml(fleet: Fleet): string {
  const kinds = kindsOf(fleet);
  const byKind = new Map(kinds.map((kind) => [kind, fleet.groups.filter((group) => group.kind === kind)]));
  return html`${pageHead({ title: `wcvmm: ${countText(fleet)}`, sheet: SHEET, script: SCRIPT })}
<header><p class="brand">wcvmm</p><h1>Memory types of a fleet</h1></header>
<main id="main">
<div class="verdict${isAsExpected(fleet) ? '' : ' broken'}"><p><span class="mark">${isAsExpected(fleet) ? '✓' : '✗'}</span> ${countText(fleet)}</p></div>
${overview(kinds, byKind)}
<div class="search" id="searching" hidden><label for="search">Search hosts, kinds and reasons</label> <input id="search" type="search" autocomplete="off"> <span id="found" role="status"></span></div>
${kinds.map((kind, index) => kindSection(kind, byKind.get(kind) ?? [], index))}
</main>
<footer><p>Only what was read back from the kernel, or observed by a guest, counts. What is not known is not verified.</p></footer>
<script>${SCRIPT}</script>
</body>
</html>
`.text;
}

function overview(kinds: readonly (string | null)[], byKind: ReadonlyMap<string | null, readonly Group[]>): Markup {
  const count = (kind: string | null, state: State): number =>
    (byKind.get(kind) ?? []).reduce((sum, group) => sum + (group.state === state ? group.hosts.length : 0), 0);
  const cell = (kind: string | null, state: State): Markup => {
    const number = count(kind, state);
    return html`<td class="number ${CLASS[state]}">${number === 0 ? '' : html`<span class="mark">${MARK[state]}</span> ${number}`}</td>`;
  };
  return html`<details${kinds.length <= 20 ? new Markup(' open') : null}><summary>${kinds.length} ${kinds.length === 1 ? 'kind' : 'kinds'}</summary>
<div class="scroll" tabindex="0" role="region" aria-label="Kinds"><table><thead><tr><th scope="col">kind</th><th scope="col">as expected</th><th scope="col">differs</th><th scope="col">not verified</th></tr></thead><tbody>
${kinds.map((kind, index) => html`<tr><th scope="row"><a href="#k${index}">${kindName(kind)}</a></th>${cell(kind, 'as expected')}${cell(kind, 'differs')}${cell(kind, 'not verified')}</tr>\n`)}</tbody></table></div></details>`;
}

function kindSection(kind: string | null, groups: readonly Group[], index: number): Markup {
  return html`<section class="kind" id="k${index}"><h2>${kindName(kind)}</h2>
${groups.map((group) => groupMarkup(group))}</section>
`;
}

function groupMarkup({ kind, state, reasons, hosts, odd, facts }: Group): Markup {
  return html`<div class="group ${CLASS[state]}"><div class="about"><p><span class="mark">${MARK[state]}</span> ${state}: ${hosts.length} ${hosts.length === 1 ? 'host' : 'hosts'}<span class="hidden"> of ${kindName(kind)}</span></p>
${reasons.length > 0 ? html`<ul class="reasons">${reasons.map((reason) => html`<li class="reason">${reason}</li>`)}</ul>` : null}${odd.length > 0 ? html`<p class="odd">≠ ${odd.join('; ')}</p>` : null}</div>
<details><summary>${hosts.length === 1 ? (hosts[0] ?? '') : `${hosts[0] ?? ''} and ${hosts.length - 1} more`}</summary>
<ul class="hosts">${hosts.map((host) => html`<li>${host}</li>`)}</ul>
${facts === null ? null : html`<dl>${Object.entries(facts).map(([name, value]) => html`<div><dt>${name}</dt><dd>${value}</dd></div>`)}</dl>`}</details></div>
`;
}
