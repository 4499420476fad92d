import type { Attribute } from '../../memattr/index.ts';
import { type ErrorCode, WcvmmError } from '../../common/errors.ts';
import { readAttribute } from './attribute.ts';
import { SIZE_LIMIT, formatSize, nearestSize, parseSize } from '../../common/size.ts';

/** One `--map`: bytes [start, end) of a BAR and their attribute; `end` null is the BAR's end, not known yet. */
export interface MapRequest {
  bar: number;
  start: bigint;
  end: bigint | null;
  attribute: Attribute;
  /** As the user wrote it, for errors that are found later. */
  text: string;
}

interface Mistake {
  code?: ErrorCode;
  /** Index into the text where reading stopped making sense. */
  at: number;
  message: string;
  /** Complete maps that are valid and close to what was written. */
  nearest?: readonly string[];
}

/**
 * Reads `barN[:[START]-[END]|:START+LENGTH]=ATTRIBUTE`: `bar2=wc`, `bar2:0-64K=device`, `bar2:64K-=wc`, `bar2:4K+8K=wc`.
 * Nothing about the device is known here: `planWindows` checks the request against it.
 *
 * @throws WcvmmError E_MAP_SYNTAX, E_MAP_RANGE (an empty range), E_ATTRIBUTE or E_CACHEABLE; the message's
 *   second and third line are the text and a caret under the place.
 */
export function parseMap(text: string): MapRequest {
  const bar = readBar(text);
  const head = `bar${bar}`;
  const next = text[head.length];
  if (next !== ':' && next !== '=') {
    const rest = text.slice(head.length);
    const message =
      next === undefined ? 'the attribute is missing' : 'expected ":" and a range, or "=" and an attribute';
    refuse(text, { at: head.length, message, nearest: next === undefined ? [`${head}=wc`] : valid(`${head}:${rest}`) });
  }
  const equals = text.indexOf('=');
  if (equals < 0) {
    const complete = valid(`${text}=wc`);
    refuse(text, {
      at: text.length,
      message: 'expected "=" and an attribute',
      nearest: complete.length > 0 ? complete : [`${head}=wc`],
    });
  }
  const { start, end } = next === '=' ? { start: 0n, end: null } : readRange(text, head.length + 1, equals);
  const attribute = readAttribute(text.slice(equals + 1));
  if (typeof attribute !== 'string') {
    const upTo = text.slice(0, equals + 1);
    refuse(text, {
      code: attribute.code,
      at: equals + 1,
      message: attribute.message,
      nearest: attribute.nearest.map((name) => upTo + name),
    });
  }
  return { bar, start, end, attribute, text };
}

function readBar(text: string): number {
  const digits = /^bar(\d+)/.exec(text)?.[1];
  if (digits === undefined) {
    const loose = /^\s*(?:bar|region|resource)?\s*([0-5])\s*(?=[:=])(.*)$/i.exec(text);
    refuse(text, {
      at: 0,
      message: 'a map starts with bar0 to bar5',
      nearest: loose ? valid(`bar${loose[1]}${loose[2]}`) : ['bar0=wc'],
    });
  }
  if (!/^[0-5]$/.test(digits)) refuse(text, { at: 3, message: 'a PCI device has bar0 to bar5' });
  return Number(digits);
}

function readRange(text: string, from: number, to: number): { start: bigint; end: bigint | null } {
  const range = text.slice(from, to);
  const [head, tail] = [text.slice(0, from), text.slice(to)];
  const separator = range.search(/[-+]/);
  if (separator < 0) {
    const candidates = [
      head + range.replace(/\.{2,3}|[:,]/, '-') + tail,
      `${head}0-${range}${tail}`,
      `${head}${range}-${tail}`,
    ];
    const nearest = range === '' ? valid(head.slice(0, -1) + tail) : valid(...candidates);
    refuse(text, {
      at: from,
      message: 'expected a range, START-END or START+LENGTH, either end of START-END may be left out',
      nearest,
    });
  }
  const [first, second] = [range.slice(0, separator), range.slice(separator + 1)];
  const size = (part: string, at: number): bigint => {
    const bytes = parseSize(part);
    if (bytes !== null) return bytes;
    const better = nearestSize(part);
    const nearest = better === null ? [] : valid(text.slice(0, at) + better + text.slice(at + part.length));
    return refuse(text, { at, message: 'expected a size such as 4096, 0x1000, 64K, 1M or 2G', nearest });
  };
  const start = first === '' && range[separator] === '-' ? 0n : size(first, from);
  const secondAt = from + separator + 1;
  if (range[separator] === '-' && second === '') return { start, end: null };
  const value = size(second, secondAt);
  const end = range[separator] === '+' ? start + value : value;
  if (end <= start) {
    const nearest = end < start ? valid(`${head}${formatSize(end)}-${formatSize(start)}${tail}`) : [];
    refuse(text, {
      code: 'E_MAP_RANGE',
      at: secondAt,
      message: `the range is empty: it ends at ${formatSize(end)} and starts at ${formatSize(start)}`,
      nearest,
    });
  }
  if (end > SIZE_LIMIT) refuse(text, { code: 'E_MAP_RANGE', at: secondAt, message: 'the range ends beyond 64 bits' });
  return { start, end };
}

/** Those candidates that `parseMap` would accept: a suggestion that fails in its turn is worse than none. */
function valid(...candidates: readonly string[]): readonly string[] {
  return candidates.filter((candidate) => {
    try {
      return parseMap(candidate).text === candidate;
    } catch {
      return false;
    }
  });
}

function refuse(text: string, { code = 'E_MAP_SYNTAX', at, message, nearest = [] }: Mistake): never {
  const { line, column } = excerpt(text, at);
  const hint = nearest.length > 0 ? `\n  did you mean ${nearest.join(' or ')} ?` : '';
  throw new WcvmmError(code, `cannot use this map: ${message}\n  ${line}\n  ${' '.repeat(column)}^${hint}`);
}

/** The part of `text` around `at` in one terminal line: control characters would move the caret, or the terminal. */
function excerpt(text: string, at: number): { line: string; column: number } {
  const from = Math.max(0, at - 60);
  const line = text.slice(from, from + 90).replaceAll(/[^\u{20}-\u{7e}]/gu, '?');
  return { line, column: at - from };
}
