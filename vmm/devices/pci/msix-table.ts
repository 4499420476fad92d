/** A function's MSI-X table and pending bits as the guest sees them; what they mean goes to `interrupts`. */
import type { Interrupts } from './interrupts.ts';
import type { Message } from './interrupts.ts';
import type { InterruptOptions, MsixTable } from './options.ts';
import { MSIX } from './registers.ts';

export class MsixTableView {
  readonly #vectors: number;
  readonly #table: MsixTable;
  readonly #bytes: Uint8Array<SharedArrayBuffer>;
  readonly #entries: DataView<SharedArrayBuffer>;
  readonly #interrupts: Interrupts;

  constructor({ vectors }: InterruptOptions, table: MsixTable, interrupts: Interrupts) {
    this.#vectors = vectors;
    this.#table = table;
    this.#bytes = new Uint8Array(table.entries);
    this.#entries = new DataView(table.entries);
    this.#interrupts = interrupts;
  }

  /** Every vector masked. */
  reset(): void {
    this.#bytes.fill(0);
    for (let vector = 0; vector < this.#vectors; vector += 1) {
      this.#bytes[vector * MSIX.entry + MSIX.vectorControl] = MSIX.masked;
    }
  }

  /** What an unmasked vector sends; null for a masked one. */
  message(vector: number): Message | null {
    const at = vector * MSIX.entry;
    if ((this.#entries.getUint32(at + MSIX.vectorControl, true) & MSIX.masked) !== 0) return null;
    const word = (offset: number): number => this.#entries.getUint32(at + offset, true);
    return { low: word(0) & ~3, high: word(4), data: word(8) };
  }

  /** The byte at this offset of the BAR; null where the table and the pending bits are not. */
  read(bar: number, offset: number): number | null {
    const inTable = this.#inTable(bar, offset);
    if (inTable !== null) return this.#bytes[inTable] ?? 0;
    if (!this.#inPending(bar, offset)) return null;
    const first = (offset - this.#table.pendingOffset) * 8;
    let byte = 0;
    for (let bit = 0; bit < 8 && first + bit < this.#vectors; bit += 1) {
      if (this.#interrupts.isPending(first + bit)) byte |= 1 << bit;
    }
    return byte;
  }

  /** Changes a byte. The vector that has changed; `ignored` where nothing can be written; null: neither table nor pending bits. */
  write(bar: number, offset: number, value: number): number | 'ignored' | null {
    const inTable = this.#inTable(bar, offset);
    if (inTable === null) return this.#inPending(bar, offset) ? 'ignored' : null;
    const field = inTable % MSIX.entry;
    // Of the last word only the mask bit is anything.
    this.#bytes[inTable] = field < MSIX.vectorControl ? value : field === MSIX.vectorControl ? value & MSIX.masked : 0;
    return (inTable - field) / MSIX.entry;
  }

  #inTable(bar: number, offset: number): number | null {
    const at = offset - this.#table.offset;
    return bar === this.#table.bar && at >= 0 && at < this.#vectors * MSIX.entry ? at : null;
  }

  #inPending(bar: number, offset: number): boolean {
    const at = offset - this.#table.pendingOffset;
    return bar === this.#table.pendingBar && at >= 0 && at < pendingBytes(this.#vectors);
  }
}

/** Bytes; whole 64-bit words. */
export function pendingBytes(vectors: number): number {
  return Math.ceil(vectors / 64) * 8;
}
