/**
 * Makes common/structure.ts compile a parser for each call. One that is remembered stays from mutant to mutant, as modules do, so that a
 * mutant of its fields would never be in force, or still be for those after it.
 */
import type { Plugin } from 'vite';

export const newParsers: Plugin = {
  name: 'new-parsers',
  enforce: 'pre',
  transform(code, id) {
    if (!id.endsWith('/common/structure.ts')) return null;
    const changed = code.replace('parser ??=', 'parser =');
    if (changed === code) throw new Error('common/structure.ts: expected "parser ??=", which remembers a parser');
    return { code: changed, map: null };
  },
};
