/** How old a report may be. */

export const DURATION = /^([1-9]\d{0,5})([mhd])$/;

const MINUTES: ReadonlyMap<string, number> = new Map([
  ['m', 1],
  ['h', 60],
  ['d', 1440],
]);

/** Milliseconds of `90m`, `24h`, `7d`; null where it is none of these. */
export function parseDuration(text: string): number | null {
  const [, amount, unit = ''] = DURATION.exec(text) ?? [];
  return amount === undefined ? null : Number(amount) * (MINUTES.get(unit) ?? 0) * 60_000;
}
