/** Little-endian structures as binary-parser reads them. It compiles a parser, and is loaded with the first that is used. */
import { createRequire } from 'node:module';
import type { Parser } from 'binary-parser';

/** Reads a structure at the start of `bytes`. Throws RangeError where they are too few. */
export type ReadStructure<T> = (bytes: Uint8Array) => T;

const require = createRequire(import.meta.url);

function start(): Parser {
  const { Parser } = require('binary-parser') as typeof import('binary-parser');
  return Parser.start().endianness('little');
}

/** Has what the first parser would load, for a process that can load nothing when it comes to that. */
export function loadParser(): void {
  start();
}

/** `describe` says which fields, and `T` what they are once they are read. */
export function structure<T>(describe: (parser: Parser, start: () => Parser) => Parser): ReadStructure<T> {
  let parser: Parser | undefined;
  return (bytes) => {
    parser ??= describe(start(), start);
    return parser.parse(bytes) as T;
  };
}
