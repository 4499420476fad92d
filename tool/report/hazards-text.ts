/** What is known of the silicon that a report is from. */
import type { Hazard } from '../../memattr/index.ts';
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
