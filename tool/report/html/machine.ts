/** All that one report says, in the order in which a reader asks: did it hold, what is each window, where is it, what was seen, why, on what. */
import { EXIT } from '../../../common/errors.ts';
import type { ExitCode } from '../../../common/errors.ts';
import { MODELS, kindOfType } from '../../../memattr/index.ts';
import type { Arch } from '../../../memattr/index.ts';
import { noticed } from '../driver.ts';
import type { NamedReport } from '../machine.ts';
import { hazardText } from '../hazards-text.ts';
import { deviceFacts, machineFacts } from '../machine.ts';
import type { Note } from '../notes.ts';
import { anyOf, collectNotes, groupMismatches, pagesOfGroup, reasonOf } from '../notes.ts';
import { exitCodeOf } from '../proof.ts';
import { proofLines } from '../proof-text.ts';
import { isContradicted, isControl } from '../report.ts';
import type { Origin, Report, ReportPlatform, ReportWindow } from '../report.ts';
import { VERDICT_WORDS, evidenceText, predictedText, windowName } from '../words.ts';
import { barPictures } from './bar.ts';
import { html } from './markup.ts';
import type { Markup } from './markup.ts';
import { matrixLegend, matrixTable } from './matrix.ts';
import { measurementSection } from './measurements.ts';
import { verdictBar } from './verdicts.ts';

/** @param index of the report in the page, for ids */
export function machineSection({ name, report }: NamedReport, index: number): Markup {
  const prefix = `m${index}`;
  const notes = collectNotes(report.checks);
  return html`<section class="machine" aria-labelledby="${prefix}"><h2 id="${prefix}">${name}</h2>
<p class="facts">${machineFacts(report)}<br>${deviceFacts(report)}</p>
${verdictSection(report)}
${hazardList(report)}
<h3>Windows</h3>
${barPictures(report, prefix)}
<div class="cards">${report.windows.map((window, at) => (isControl(report, window) ? null : windowCard(report, window, at)))}</div>
${
  report.checks.length === 0
    ? null
    : html`<h3>Predicted, programmed, observed</h3>
${mismatches(report, prefix)}
${matrixTable({ name, report }, notes, prefix)}
${matrixLegend(report)}`
}
${measurementSection(report, prefix)}
${noteList(notes, prefix)}
${factList(report)}</section>
`;
}

function verdictSection(report: Report): Markup {
  const { look, mark, sentence } = VERDICT[exitCodeOf(report)];
  const lines = proofLines(report);
  return html`<div class="verdict ${look}"><p><span class="mark" aria-hidden="true">${mark}</span> ${sentence(report)}</p>
<dl class="proof">${lines.map(({ name, text }) => html`<div><dt>${name}</dt><dd>${text}</dd></div>`)}</dl>${verdictBar(report.summary)}</div>`;
}

function hazardList({ hazards = [] }: Report): Markup | null {
  if (hazards.length === 0) return null;
  return html`<h3>Danger on this silicon</h3><ul>${hazards.map((hazard) => html`<li><b>${hazard.id}</b> ${hazardText(hazard)}</li>`)}</ul>`;
}

interface VerdictLook {
  readonly look: 'held' | 'broken' | 'unproven';
  readonly mark: string;
  readonly sentence: (report: Report) => string;
}

const VERDICT: Readonly<Record<ExitCode, VerdictLook>> = {
  [EXIT.match]: { look: 'held', mark: '✓', sentence: heldSentence },
  [EXIT.mismatch]: { look: 'broken', mark: '✗', sentence: brokenSentence },
  [EXIT.failed]: { look: 'broken', mark: '✗', sentence: () => 'No check was made.' },
  [EXIT.notProven]: {
    look: 'unproven',
    mark: '?',
    sentence: () => 'Not proven: the memory type of some window was neither read back nor observed.',
  },
};

function heldSentence({ checks }: Report): string {
  return checks.length === 0
    ? 'Every window is as the model predicts, as far as it was read back.'
    : "Each window's memory type was read back or observed, and nothing contradicts the model.";
}

function brokenSentence({ summary, windows }: Report): string {
  const wrong = windows.filter(({ hostVma, stage2 }) => isContradicted(hostVma) || isContradicted(stage2)).length;
  const checks =
    summary.mismatch > 0
      ? [`${summary.mismatch} check${summary.mismatch === 1 ? ' is' : 's are'} not as predicted.`]
      : [];
  return [
    ...checks,
    ...(wrong > 0 ? [`${wrong} window${wrong === 1 ? ' was' : 's were'} not programmed as predicted.`] : []),
  ].join(' ');
}

function windowCard({ arch, checks }: Report, window: ReportWindow, index: number): Markup {
  const { attribute, hostVma, stage2, strictness, trapped, mtrr, hazards = [] } = window;
  const wc = MODELS[arch].combiningType;
  const asDriver = checks.filter((check) => check.window === index && check.stage1 === wc);
  return html`<article class="card ${attribute}"><h4><span class="swatch" aria-hidden="true"></span>${index} ${windowName(window)}</h4>
<dl><div><dt>host mapping</dt><dd>${chip(evidenceText(hostVma), hostVma.programmed ?? hostVma.predicted, isContradicted(hostVma))}</dd></div>
<div><dt>stage 2</dt><dd>${trapped === undefined ? chip(evidenceText(stage2), stage2.programmed ?? stage2.predicted, isContradicted(stage2)) : `none: each of ${trapped.exits} accesses exited to the VMM`}</dd></div>
${hazards.length === 0 ? null : html`<div><dt>danger</dt><dd>${hazards.join(', ')}</dd></div>`}
${mtrr === undefined ? null : html`<div><dt>MTRR</dt><dd>${mtrr ?? 'not known'}</dd></div>`}
<div><dt>strict</dt><dd>${strictness === undefined ? 'not known' : html`<details${attribute === 'device' && !strictness.strict ? html` open` : null}><summary><b>${strictness.strict ? '✓ yes' : '✗ no'}</b></summary>${strictness.why}</details>`}</dd></div></dl>
${asDriver.length === 0 ? null : html`<p class="small">${capital(noticed(wc, asDriver).replaceAll('*', ' (predicted)'))}.</p>`}</article>`;
}

function chip(text: string, type: string, wrong: boolean): Markup {
  return html`<span class="chip ${kindOfType(type)}${wrong ? ' wrong' : ''}">${text}</span>`;
}

function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

function mismatches(report: Report, prefix: string): Markup | null {
  const groups = groupMismatches(report.checks);
  if (groups.length === 0) return null;
  const items = groups.flatMap((group) => {
    const [first] = group;
    const window = first && report.windows[first.window];
    if (first === undefined || window === undefined) return [];
    const probes = [...new Set(group.map(({ probe }) => probe))].join(', ');
    return [
      html`<li><b>${windowName(window)}</b>${pagesOfGroup(group)}: ${probes} under stage 1 ${anyOf(group.map(({ stage1 }) => stage1))}. Predicted <b>${predictedText(first)}</b>, observed <b>${first.observed ?? 'nothing'}</b>; stage 2 was programmed as ${window.stage2.programmed ?? 'not known'}. ${reasonOf(group)}</li>`,
    ];
  });
  return html`<ul class="mismatches" id="${prefix}-mismatches" tabindex="-1">${items}</ul>`;
}

function noteList(notes: readonly Note[], prefix: string): Markup | null {
  if (notes.length === 0) return null;
  return html`<h3>Reasons</h3><ol class="notes">${notes.map(({ number, verdict, text }) => html`<li id="${prefix}-note${number}" value="${number}" tabindex="-1" class="${verdict}"><b>${VERDICT_WORDS[verdict]}</b> ${text}</li>`)}</ol>`;
}

type Fact = readonly [what: string, value: string];

/** What is only said of a platform of this architecture. */
const PLATFORM_FACTS: Readonly<Record<Arch, (platform: ReportPlatform) => readonly Fact[]>> = {
  arm64: ({ fwb, faultForwarding = null }) => [
    ['stage 2 can force write-back (FWB)', word(fwb)],
    ["KVM forwards stage 2's alignment faults", word(faultForwarding)],
  ],
  x86: ({ vendor, nestedPaging }) => [
    ["CPU's vendor", vendor ?? 'not known'],
    ['nested paging', nestedPaging?.toUpperCase() ?? 'none, or not known'],
  ],
};

function originFacts({
  host,
  machine,
  firmware,
  hypervisor,
  confidential = null,
  cpu,
  kernelBuild,
  wcvmm,
  time,
  asked,
}: Origin): readonly Fact[] {
  return [
    ['at', time],
    ['on', host ?? 'not known'],
    ['as asked', `wcvmm ${asked.join(' ')}`],
    ['version', `wcvmm ${wcvmm}`],
    ['machine type', machine ?? 'not known'],
    ['firmware', firmware ?? 'not known'],
    ['below a hypervisor', word(hypervisor)],
    ...(confidential === null ? [] : [['confidential guest', confidential] as const]),
    [
      'CPU',
      [cpu.model, cpu.stepping, cpu.microcode && `microcode ${cpu.microcode}`].filter(Boolean).join(', ') ||
        'not known',
    ],
    ['kernel build', kernelBuild ?? 'not known'],
  ];
}

function factList({ arch, origin, platform, device, command, limits = [] }: Report): Markup {
  const facts: readonly Fact[] = [
    ['made by', `wcvmm ${command}`],
    ...(origin === undefined ? [] : originFacts(origin)),
    ['machine', platform.emulator === null ? `${arch} hardware` : `${arch}, emulated by ${platform.emulator}`],
    ['Linux', platform.kernel],
    ['mmap cookies', word(platform.cookies)],
    ...PLATFORM_FACTS[arch](platform),
    ['device', device.address ?? 'none'],
    ['PCI id', device.id ?? 'not known'],
    ['mappings from', device.source],
  ];
  return html`<h3>Platform</h3><dl class="facts">${facts.map(([what, value]) => html`<div><dt>${what}</dt><dd>${value}</dd></div>`)}</dl>
${limits.length === 0 ? null : html`<h3>Not proven</h3><ul>${limits.map((limit) => html`<li>${limit}</li>`)}</ul>`}`;
}

function word(value: boolean | null): string {
  return value === null ? 'not known' : value ? 'yes' : 'no';
}
