import { EXIT } from '../../../common/errors.ts';
import { formatSize } from '../../../common/size.ts';
import { paint, table, wrap } from '../../../common/terminal.ts';
import type { Colour, Style } from '../../../common/terminal.ts';
import { hazardLines } from '../../report/hazards-text.ts';
import { exitCodeOfHost } from './result.ts';
import type { HostMapping, HostReport, HostVerdict } from './result.ts';

const MARK: Readonly<Record<HostVerdict, readonly [mark: string, colour: Colour]>> = {
  match: ['✓', 'green'],
  mismatch: ['✗', 'red'],
  unobservable: ['?', 'yellow'],
  skipped: ['–', 'dim'],
};

export function renderHost(report: HostReport, style: Style): string {
  const { arch, emulator, kernel, mappings, hazards, limits } = report;
  const devices = [...new Set(mappings.map(({ device }) => device))];
  const lines = [
    paint(style, 'bold', 'wcvmm verify --host'),
    `  ${emulator === null ? arch : `${arch} emulated by ${emulator}`}, Linux ${kernel}`,
    '',
    ...devices.flatMap((device) =>
      deviceLines(
        mappings.filter((one) => one.device === device),
        style,
      ),
    ),
    ...hazardLines(hazards, style),
    ...limits.flatMap((limit) => wrap('  not proven  ', limit, style.columns).map((line) => paint(style, 'dim', line))),
    ...(limits.length > 0 || hazards.length > 0 ? [''] : []),
    ...conclusion(report, style),
  ];
  return `${lines.join('\n')}\n`;
}

function deviceLines(mappings: readonly HostMapping[], style: Style): readonly string[] {
  const [first] = mappings;
  if (first === undefined) return [];
  const rows = table(
    mappings.map(({ verdict, bar, length, file, predicted, ...one }) => [
      MARK[verdict][0],
      `bar${bar}`,
      formatSize(BigInt(length)).padStart(5),
      file,
      `${predicted}${one.hazards.length > 0 ? ' !' : ''}`,
      shownOf({ verdict, ...one }),
    ]),
    '  ',
  );
  return [
    `${paint(style, 'bold', first.device)}  ${first.id}  ${first.driver === null ? 'no driver' : `driver ${first.driver}`}`,
    ...mappings.flatMap(({ verdict, note }, index) => [
      paint(style, MARK[verdict][1], rows[index] ?? ''),
      // Once for those that have it in a row.
      ...(note === null || note === mappings[index + 1]?.note
        ? []
        : wrap('       ', note, style.columns).map((line) => paint(style, 'dim', line))),
    ]),
    '',
  ];
}

function shownOf({
  verdict,
  programmed,
  mtrr,
  observed,
  rules,
}: Pick<HostMapping, 'verdict' | 'programmed' | 'mtrr' | 'observed' | 'rules'>): string {
  if (verdict === 'skipped') return 'not mapped';
  if (programmed !== null) return `on record as ${programmed}${mtrr === undefined ? '' : `, MTRR ${mtrr}`}`;
  if (observed === null) return 'nothing shown';
  const answered = rules.length === 0 ? '' : `; answers ${rules.join(', ')}`;
  return `${observed} seen: an unaligned load ${observed === 'Device' ? 'faults' : 'works'}${answered}`;
}

function conclusion(report: HostReport, style: Style): readonly string[] {
  const { summary, mappings } = report;
  const made = summary.match + summary.mismatch + summary.unobservable;
  const combining = mappings.filter(({ attribute, verdict }) => attribute === 'wc' && verdict === 'match');
  const files = combining.map(({ device, file }) => `${device} ${file}`);
  const few = files.slice(0, 4).join(', ') + (files.length > 4 ? ` and ${files.length - 4} more` : '');
  const wc = files.length === 0 ? 'no write-combining mapping was shown' : `write-combining: ${few}`;
  const [mark, colour, text] = ((): readonly [string, Colour, string] => {
    switch (exitCodeOfHost(report)) {
      case EXIT.match:
        return ['✓', 'green', `${summary.match} of ${made} mappings are as predicted; ${wc}`];
      case EXIT.mismatch:
        return ['✗', 'red', `${summary.mismatch} of ${made} mappings are not as predicted; ${wc}`];
      case EXIT.notProven:
        return [
          '?',
          'yellow',
          `not proven: of ${summary.unobservable} of ${made} mappings nothing showed the type; ${wc}`,
        ];
      case EXIT.failed:
        return ['?', 'yellow', 'no mapping could be made'];
    }
  })();
  return wrap(`${mark} `, text, style.columns).map((line) => paint(style, colour, line));
}
