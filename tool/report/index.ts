/** Reports: their types, reading one from a file, and showing it. */
export { styleOf } from '../../common/terminal.ts';
export type { Style } from '../../common/terminal.ts';
export { FORMATS, FORMAT_NAMES } from './formats.ts';
export type { Format } from './formats.ts';
export { formatReport } from './json.ts';
export type { NamedReport } from './machine.ts';
export { readReport } from './read.ts';
export { exitCodeOf, proofOf } from './proof.ts';
export type { Part, Proof } from './proof.ts';
export { SCHEMA, VERDICTS } from './report.ts';
export type {
  Bench,
  Check,
  Evidence,
  Figure,
  Measurement,
  Predicted,
  Quantity,
  Report,
  ReportDevice,
  ReportPlatform,
  ReportWindow,
  Summary,
  Unit,
  Verdict,
} from './report.ts';
export { parseReport } from './schema.ts';
export { renderReport } from './text.ts';
export { weighed } from './worth.ts';
