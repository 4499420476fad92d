/** What is known of the silicon that a report is from, and which of Arm's rules its checks answer. */
import { BSA_RULES } from '../../memattr/index.ts';
import type { Hazard } from '../../memattr/index.ts';
import type { Report } from './report.ts';
import { paint, wrap } from '../../common/terminal.ts';
import type { Style } from '../../common/terminal.ts';

/** The silicon's name, and that it is not sure. */
export function hazardText({ silicon, certain, what }: Hazard): string {
  return `${certain ? '' : 'this may be '}${silicon}: ${what}`;
}

export function hazardLines(hazards: readonly Hazard[], style: Style): string[] {
  return hazards.flatMap((hazard) =>
    wrap('  ! danger    ', hazardText(hazard), style.columns).map((line) => paint(style, 'red', line)),
  );
}

/** Empty where no check answers one. A match of a check is that its access did what the rule wants. */
export function ruleLines({ checks }: Pick<Report, 'checks'>, style: Style): string[] {
  const counted = BSA_RULES.flatMap((rule) => {
    const asked = checks.filter(
      ({ rules = [], verdict }) => rules.includes(rule) && (verdict === 'match' || verdict === 'mismatch'),
    );
    if (asked.length === 0) return [];
    return [`${rule} held in ${asked.filter(({ verdict }) => verdict === 'match').length} of ${asked.length} checks`];
  });
  return counted.length === 0 ? [] : wrap('  BSA rules  ', counted.join(', '), style.columns);
}
