/** Text for a terminal: colour that can be off, columns, and lines that fit. All widths are characters. */

export interface Style {
  /** Width of the terminal; 100 is what the reports are laid out for. */
  columns: number;
  color: boolean;
}

export type Colour = 'red' | 'green' | 'yellow' | 'dim' | 'bold';

const DEFAULT_COLUMNS = 100;
/** Below this nothing is readable whatever is done: the terminal may wrap it. */
const MIN_COLUMNS = 40;

const CODE: Readonly<Record<Colour, readonly [number, number]>> = {
  red: [31, 39],
  green: [32, 39],
  yellow: [33, 39],
  dim: [2, 22],
  bold: [1, 22],
};

/** `text` in `colour`; pad before painting, since the codes have no width. */
export function paint(style: Style, colour: Colour, text: string): string {
  const [on, off] = CODE[colour];
  return style.color && text !== '' ? `\u{1B}[${on}m${text}\u{1B}[${off}m` : text;
}

/**
 * How a report should look on `stream`: colour only where a person looks, unless the environment says otherwise
 * (NO_COLOR, FORCE_COLOR, TERM=dumb); where the stream has no width, COLUMNS or 100.
 */
export function styleOf(stream: { isTTY?: boolean; columns?: number | undefined }, env: NodeJS.ProcessEnv): Style {
  const set = (name: string): boolean => env[name] !== undefined && env[name] !== '';
  const color = set('FORCE_COLOR') ? env['FORCE_COLOR'] !== '0' : stream.isTTY === true && env['TERM'] !== 'dumb';
  const columns = stream.columns ?? Number.parseInt(env['COLUMNS'] ?? '', 10);
  return { columns: columns >= MIN_COLUMNS ? columns : DEFAULT_COLUMNS, color: color && !set('NO_COLOR') };
}

/** Rows as left-aligned columns, two spaces apart; the last column is not padded. */
export function table(rows: readonly (readonly string[])[], indent = ''): string[] {
  const widths: number[] = [];
  for (const row of rows)
    for (const [column, cell] of row.entries()) widths[column] = Math.max(widths[column] ?? 0, cell.length);
  return rows.map((row) => (indent + row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join('  ')).trimEnd());
}

/** Sections with a blank line between them; those without lines are left out. */
export function joinSections(sections: readonly (readonly string[])[]): string {
  return sections
    .filter((lines) => lines.length > 0)
    .map((lines) => `${lines.join('\n')}\n`)
    .join('\n');
}

/** `text` in lines of at most `columns`, the first after `head`, the others under the first's text. */
export function wrap(head: string, text: string, columns: number): string[] {
  const hang = ' '.repeat(head.length);
  const width = Math.max(columns - head.length, 20);
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(/\s+/)) {
    if (line !== '' && line.length + 1 + word.length > width) {
      lines.push(line);
      line = word;
    } else {
      line = line === '' ? word : `${line} ${word}`;
    }
  }
  lines.push(line);
  return lines.map((part, index) => (index === 0 ? head : hang) + part);
}
