import type { Attribute } from '../../memattr/index.ts';
import { type ErrorCode, WcvmmError } from '../../common/errors.ts';
import { readAttribute } from './attribute.ts';
import { SIZE_LIMIT, formatSize, parseSize } from '../../common/size.ts';

/** One `--map`: bytes [start, end) of a BAR and their attribute; `end` null is the BAR's end, not known yet. */
export interface MapRequest {
  bar: number;
  start: bigint;
  end: bigint | null;
  attribute: Attribute;
  /** As the user wrote it, for errors that are found later. */
  text: string;
}

const GRAMMAR = 'a map is barN[:START-END | :START+LENGTH]=ATTRIBUTE, as in bar2:0-64K=device or bar2:64K-=wc';

/**
 * Reads `barN[:[START]-[END]|:START+LENGTH]=ATTRIBUTE`: `bar2=wc`, `bar2:0-64K=device`, `bar2:64K-=wc`, `bar2:4K+8K=wc`.
 * Nothing about the device is known here: `planWindows` checks the request against it.
 *
 * @throws WcvmmError E_MAP_SYNTAX, E_MAP_RANGE (an empty range), E_ATTRIBUTE or E_CACHEABLE; the message's
 *   second and third line are the text and a caret under the place where it is wrong.
 */
export function parseMap(text: string): MapRequest {
  const bar = readBar(text);
  const next = `bar${bar}`.length;
  const equals = text.indexOf('=');
  if (text[next] !== ':' && equals !== next) refuse(text, next, 'expected ":" and a range, or "=" and an attribute');
  if (equals < 0) refuse(text, text.length, 'expected "=" and an attribute');
  const { start, end } = equals === next ? { start: 0n, end: null } : readRange(text, next + 1, equals);
  const attribute = readAttribute(text.slice(equals + 1));
  if (typeof attribute !== 'string') refuse(text, equals + 1, attribute.message, attribute.code);
  return { bar, start, end, attribute, text };
}

function readBar(text: string): number {
  const digits = /^bar(\d+)/.exec(text)?.[1];
  if (digits === undefined) refuse(text, 0, 'expected bar0 to bar5');
  if (!/^[0-5]$/.test(digits)) refuse(text, 3, 'a PCI device has bar0 to bar5');
  return Number(digits);
}

function readRange(text: string, from: number, to: number): { start: bigint; end: bigint | null } {
  const range = text.slice(from, to);
  const separator = range.search(/[-+]/);
  if (separator < 0) refuse(text, from, 'expected a range, as in 0-64K, 64K- or 64K+4K');
  const isLength = range[separator] === '+';
  const [first, second] = [range.slice(0, separator), range.slice(separator + 1)];
  const secondAt = from + separator + 1;
  const start = first === '' && !isLength ? 0n : readSize(text, from, first);
  if (second === '' && !isLength) return { start, end: null };
  const value = readSize(text, secondAt, second);
  const end = isLength ? start + value : value;
  if (end <= start) {
    const message = `the range is empty: it starts at ${formatSize(start)} and ends at ${formatSize(end)}`;
    refuse(text, secondAt, message, 'E_MAP_RANGE');
  }
  if (end > SIZE_LIMIT) refuse(text, secondAt, 'the range ends beyond 64 bits', 'E_MAP_RANGE');
  return { start, end };
}

function readSize(text: string, at: number, part: string): bigint {
  return parseSize(part) ?? refuse(text, at, 'expected a size such as 4096, 0x1000, 64K, 1M or 2G');
}

/** `at`: where the text stops making sense. */
function refuse(text: string, at: number, message: string, code: ErrorCode = 'E_MAP_SYNTAX'): never {
  const { line, column } = excerpt(text, at);
  const grammar = code === 'E_MAP_SYNTAX' ? `\n  ${GRAMMAR}` : '';
  throw new WcvmmError(code, `cannot use this map: ${message}\n  ${line}\n  ${' '.repeat(column)}^${grammar}`);
}

/** The part of `text` around `at` in one terminal line: control characters would move the caret, or the terminal. */
function excerpt(text: string, at: number): { line: string; column: number } {
  const from = Math.max(0, at - 60);
  const line = text.slice(from, from + 90).replaceAll(/[^\u{20}-\u{7e}]/gu, '?');
  return { line, column: at - from };
}
