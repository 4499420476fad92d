import { ATTRIBUTES } from '../../memattr/model.ts';
import type { Attribute } from '../../memattr/index.ts';
import { WcvmmError } from '../../common/errors.ts';

/**
 * What other tools call the same things. Never accepted silently: `uc` means one thing to an x86 reader and
 * another to an arm64 one, so the user is told the choice and makes it.
 */
const OTHER_NAMES: Readonly<Record<string, readonly Attribute[]>> = {
  writecombine: ['wc'],
  writecombining: ['wc'],
  writecombined: ['wc'],
  combine: ['wc'],
  combining: ['wc'],
  normalnc: ['wc'],
  nc: ['wc'],
  uc: ['device', 'default'],
  uncached: ['device', 'default'],
  uncacheable: ['device', 'default'],
  noncached: ['device', 'default'],
  ucminus: ['default'],
  strict: ['device'],
  strong: ['device'],
  devicengnrne: ['device'],
  devicengnre: ['device'],
  legacy: ['default'],
  auto: ['default'],
  none: ['default'],
};

const CACHEABLE = new Set(['cacheable', 'cached', 'cache', 'wb', 'writeback', 'normalwb', 'wt', 'writethrough']);

/** A refusal that the caller can still place in its own text: which code, what to say, what to write instead. */
export interface AttributeProblem {
  code: 'E_ATTRIBUTE' | 'E_CACHEABLE';
  message: string;
  nearest: readonly Attribute[];
}

/** The attribute that `text` names exactly, or why it names none. */
export function readAttribute(text: string): Attribute | AttributeProblem {
  const exact = ATTRIBUTES.find((attribute) => attribute === text);
  if (exact) return exact;
  const plain = text.toLowerCase().replaceAll(/[^a-z]/g, '');
  if (CACHEABLE.has(plain)) {
    return {
      code: 'E_CACHEABLE',
      message:
        "a cacheable mapping of a BAR needs the authority of the device's own driver, which knows that the device is coherent; " +
        'vfio-pci does not have it. Use wc for the most relaxed type that is safe here',
      nearest: ['wc'],
    };
  }
  const nearest = nearestAttributes(plain);
  return {
    code: 'E_ATTRIBUTE',
    message: `${text === '' ? 'the attribute is missing' : `${JSON.stringify(clip(text))} is not an attribute`}; there are ${ATTRIBUTES.slice(0, -1).join(', ')} and ${ATTRIBUTES.at(-1)}`,
    nearest,
  };
}

/** The attribute that `text` names. @throws WcvmmError E_ATTRIBUTE, with the nearest names, or E_CACHEABLE. */
export function parseAttribute(text: string): Attribute {
  const read = readAttribute(text);
  if (typeof read === 'string') return read;
  const hint =
    read.nearest.length > 0 && read.code === 'E_ATTRIBUTE' ? `: did you mean ${read.nearest.join(' or ')}?` : '';
  throw new WcvmmError(read.code, read.message + hint);
}

function nearestAttributes(plain: string): readonly Attribute[] {
  const known = Object.hasOwn(OTHER_NAMES, plain) ? OTHER_NAMES[plain] : undefined;
  if (known) return known;
  // For a name of two letters a distance of two would mean nothing.
  const close = ATTRIBUTES.filter(
    (attribute) => plain !== '' && distance(plain, attribute) <= Math.min(2, attribute.length - 1),
  );
  if (close.length > 0) return close;
  return plain.length > 1 ? ATTRIBUTES.filter((attribute) => attribute.startsWith(plain)) : [];
}

/** Levenshtein distance; `a` is cut to a length beyond which no attribute is near. */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (const [i, letter] of [...a].slice(0, 16).entries()) {
    const next = [i + 1];
    for (const [j, other] of [...b].entries()) {
      const replace = (row[j] ?? 0) + (letter === other ? 0 : 1);
      next.push(Math.min(replace, (row[j + 1] ?? 0) + 1, (next[j] ?? 0) + 1));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}

function clip(text: string): string {
  return text.length > 40 ? `${text.slice(0, 39)}…` : text;
}
