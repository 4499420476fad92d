/**
 * The part of binary-parser that is used here. The package has types, but its "exports" hide them from Node's own module
 * resolution.
 */
declare module 'binary-parser' {
  export class Parser {
    static start(): Parser;
    endianness(order: 'little' | 'big'): this;
    uint8(name: string): this;
    uint16(name: string): this;
    uint32(name: string): this;
    uint64(name: string): this;
    array(name: string, options: { type: 'uint64le'; length: number } | { type: Parser; readUntil: 'eof' }): this;
    skip(bytes: number): this;
    /** The fields by name: what they are is the caller's to know. Throws RangeError for bytes that are too few. */
    parse(bytes: Uint8Array): unknown;
  }
}
