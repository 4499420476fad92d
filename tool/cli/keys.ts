/** What a person types at a guest's terminal: all of it is the guest's, but for what follows Ctrl-a, as in QEMU and kvmtool. */

const ESCAPE = 0x01;

/** For a person. */
export const KEYS_HELP = 'Ctrl-a x stops the guest, Ctrl-a Ctrl-a sends a Ctrl-a';

export class Keys {
  #hasEscaped = false;

  /** The bytes that are the guest's, and whether it shall stop: what follows is then nobody's. */
  take(typed: Uint8Array): { readonly bytes: Uint8Array; readonly isEnd: boolean } {
    const bytes: number[] = [];
    for (const byte of typed) {
      if (this.#hasEscaped) {
        this.#hasEscaped = false;
        if (byte === LETTER_X) return { bytes: Uint8Array.from(bytes), isEnd: true };
        // A program in the guest may have a use for Ctrl-a itself.
        bytes.push(...(byte === ESCAPE ? [ESCAPE] : [ESCAPE, byte]));
      } else if (byte === ESCAPE) this.#hasEscaped = true;
      else bytes.push(byte);
    }
    return { bytes: Uint8Array.from(bytes), isEnd: false };
  }
}

const LETTER_X = 0x78;
