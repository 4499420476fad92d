/** Bochs' debugger, which reads commands from its standard input and ends each answer with a prompt. */
export class BochsDebugger {
  readonly #write: (line: string) => void;
  #text = '';
  #ended = false;
  #wake: (() => void) | null = null;

  /** `write` gets whole lines. */
  constructor(write: (line: string) => void) {
    this.#write = write;
  }

  /** The next piece of what the debugger says. */
  hear(text: string): void {
    this.#text += text;
    this.#wake?.();
  }

  /** The emulator is gone: nobody will be asked again. */
  end(): void {
    this.#ended = true;
    this.#wake?.();
  }

  /** Waits until the instance stops. Returns what was said on the way there; null if the emulator ended instead. */
  async stopped(): Promise<string | null> {
    for (;;) {
      const prompt = /<bochs:\d+> $/.exec(this.#text);
      if (prompt !== null) {
        const said = this.#text.slice(0, prompt.index);
        this.#text = '';
        return said;
      }
      if (this.#ended) return null;
      await new Promise<void>((resolve) => (this.#wake = resolve));
    }
  }

  /** Asks something that does not make the instance go on. Only while it is stopped. */
  async ask(command: string): Promise<string> {
    this.#write(`${command}\n`);
    return (await this.stopped()) ?? '';
  }

  /** Lets the instance go on. */
  go(): void {
    this.#write('c\n');
  }

  quit(): void {
    this.#write('q\n');
  }
}

/** True if the instance stopped because it asked to (`xchg %bx, %bx`), and not for an error or Ctrl-C. */
export function askedToStop(said: string): boolean {
  return /magic breakpoint/i.test(said);
}
