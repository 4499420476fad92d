/** README's attribute tables, as memattr has them. */
import { ATTRIBUTES, arm64, x86 } from '../memattr/index.ts';
import type { ArchitectureModel, Attribute, Platform } from '../memattr/index.ts';

interface Column {
  readonly name: string;
  readonly stage2Name: string;
  readonly model: ArchitectureModel;
  readonly platform: Platform;
  /** Of the guest's types those that drivers ask for. */
  readonly asked: readonly string[];
}

const NOTHING = { fwb: null, faultForwarding: false, mte: false } as const;
const X86_TYPES = ['UC', 'UC-', 'WC', 'WB'];

const COLUMNS: readonly Column[] = [
  {
    name: 'arm64',
    stage2Name: 'stage 2',
    model: arm64,
    platform: { ...NOTHING, fwb: true, faultForwarding: true },
    asked: ['Device-nGnRnE', 'Device-nGnRE', 'Normal-NC', 'Normal-WB'],
  },
  {
    name: 'Intel',
    stage2Name: 'EPT',
    model: x86,
    platform: { ...NOTHING, nestedPaging: 'ept', mtrr: 'UC' },
    asked: X86_TYPES,
  },
  {
    name: 'AMD',
    stage2Name: 'NPT',
    model: x86,
    platform: { ...NOTHING, nestedPaging: 'npt', mtrr: 'UC' },
    asked: X86_TYPES,
  },
];

function markdown(head: readonly string[], rows: readonly (readonly string[])[]): string {
  return [head, head.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |`).join('\n');
}

function stage2Of({ model, platform }: Column, attribute: Attribute): string {
  return model.stage2(attribute, 'cookie', platform);
}

/** What a cookie's attribute becomes on its way to stage 2. */
export function attributeTable(): string {
  const strictOn = (attribute: Attribute): string => {
    const strict = COLUMNS.filter(({ model, platform }) => model.strictness(attribute, 'cookie', platform).strict);
    return strict.map(({ name }) => name).join(', ') || 'nowhere';
  };
  return markdown(
    ['attribute', ...COLUMNS.map(({ name, stage2Name }) => `${name}: host → ${stage2Name}`), 'strict on'],
    ATTRIBUTES.map((attribute) => [
      `\`${attribute}\``,
      ...COLUMNS.map(
        (column) =>
          `${column.model.hostVma(attribute, 'cookie')} → ${stage2Of(column, attribute).replace(/^(?:EPT|NPT) /, '')}`,
      ),
      strictOn(attribute),
    ]),
  );
}

/** What a guest gets that asks for a type of its own. */
export function guestTable(): string {
  const rows = COLUMNS.flatMap((column) =>
    column.asked.map((name) => {
      const stage1 = column.model.stage1Types.find((type) => type.name === name);
      if (stage1 === undefined) throw new Error(`${column.name} has no stage-1 type ${name}`);
      return [
        column.name,
        name,
        ...ATTRIBUTES.map((attribute) => column.model.effective(stage1, stage2Of(column, attribute), column.platform)),
      ];
    }),
  );
  return markdown(['', 'a guest asks for', ...ATTRIBUTES.map((attribute) => `\`${attribute}\``)], rows);
}
