import { paint, wrap } from '../../../common/terminal.ts';
import type { Colour, Style } from '../../../common/terminal.ts';
import type { Diagnosis } from './doctor.ts';
import type { Finding, State } from './finding.ts';

const COLOURS: Readonly<Record<State, Colour>> = { ok: 'green', missing: 'red', unknown: 'yellow', note: 'dim' };

function line({ id, state, detail, fix }: Finding, width: number, style: Style): readonly string[] {
  const head = `  ${state.padEnd(7)}  ${id.padEnd(width)}  `;
  const [first = '', ...others] = wrap(head, detail, style.columns);
  const indent = ' '.repeat(head.length);
  return [
    `  ${paint(style, COLOURS[state], state.padEnd(7))}${first.slice(9)}`,
    ...others,
    ...(fix === null ? [] : wrap(`${indent}→ `, fix, style.columns)),
  ];
}

export function renderDiagnosis({ kernel, machine, source, verify, findings }: Diagnosis, style: Style): string {
  const width = Math.max(...findings.map(({ id }) => id.length));
  const verdict = verify.runs
    ? wrap('✓ ', `wcvmm verify --source ${source} would run here`, style.columns).map((text) =>
        paint(style, 'green', text),
      )
    : wrap(
        '✗ ',
        `wcvmm verify --source ${source} would not run here: ${verify.blockedBy.join(', ')}`,
        style.columns,
      ).map((text) => paint(style, 'red', text));
  return `wcvmm doctor\n  Linux ${kernel} on ${machine}\n\n${findings.flatMap((finding) => line(finding, width, style)).join('\n')}\n\n${verdict.join('\n')}\n`;
}
