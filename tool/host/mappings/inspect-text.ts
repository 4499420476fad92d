import { formatSize } from '../../../common/size.ts';
import { paint, table, wrap } from '../../../common/terminal.ts';
import type { Style } from '../../../common/terminal.ts';
import type { Inspection, SeenMapping } from './inspect.ts';

export function renderInspection({ arch, kernel, mappings, records, limits }: Inspection, style: Style): string {
  const devices = [
    ...new Set([...mappings.map(({ device }) => device), ...records.map(({ device }) => device)]),
  ].toSorted();
  const lines = [
    paint(style, 'bold', 'wcvmm inspect'),
    `  ${arch}, Linux ${kernel}`,
    '',
    ...devices.flatMap((device) => deviceLines(device, mappings, records, style)),
    ...(devices.length === 0 ? ['no mapping of a BAR was found', ''] : []),
    ...limits.flatMap((limit) => wrap('  not known  ', limit, style.columns).map((line) => paint(style, 'dim', line))),
  ];
  return `${lines.join('\n')}\n`;
}

function deviceLines(
  device: string | null,
  all: readonly SeenMapping[],
  records: Inspection['records'],
  style: Style,
): readonly string[] {
  const mappings = all.filter((one) => one.device === device);
  const [first] = mappings;
  const driver = first === undefined ? '' : `  ${first.driver === null ? 'no driver' : `driver ${first.driver}`}`;
  const unseen = records.filter((record) => record.device === device && !isCovered(record, mappings));
  const rows = [
    ...mappings.map((mapping) => [
      place(mapping),
      formatSize(BigInt(mapping.length)),
      typeText(mapping),
      whose(mapping),
    ]),
    ...unseen.map((record) => [
      place(record),
      formatSize(BigInt(record.length)),
      record.type,
      'on record; no mapping of a process or a driver was seen there',
    ]),
  ];
  return [
    `${paint(style, 'bold', device ?? 'a VFIO device, which one is not shown')}${driver}`,
    ...table(rows, '  '),
    '',
  ];
}

function place({ bar, offset }: { readonly bar: number | null; readonly offset: number | null }): string {
  if (bar === null) return 'a BAR, which one is not shown';
  return offset === null ? `bar${bar}` : `bar${bar}:${formatSize(BigInt(offset))}`;
}

function typeText({ types, evidence }: SeenMapping): string {
  if (types === null) return 'type not known';
  return `${types.join(' and ')}${evidence === 'assumed' ? ' (assumed)' : ''}`;
}

function whose({ by, certain }: SeenMapping): string {
  if (by.kind === 'kernel') return `the kernel: ${by.caller}`;
  const { pid, command, started } = by.process;
  const since = started === null ? '' : `, started ${started}`;
  const file = by.file.split('/').at(-1) ?? by.file;
  const doubt = certain ? '' : '; a file of this name that is not of the sysfs here';
  return `process ${pid} (${command})${since}: ${file}${by.writable ? '' : ', read only'}${doubt}`;
}

function isCovered({ bar, offset, length }: Inspection['records'][number], mappings: readonly SeenMapping[]): boolean {
  return mappings.some(
    (one) => one.bar === bar && one.offset !== null && one.offset < offset + length && one.offset + one.length > offset,
  );
}
