import { TextTail } from '../text-tail.ts';

/** Characters of what was said since the last prompt that are kept. Only what an instance writes to the port without a frame comes near. */
const saidLimit = 1 << 20;

/** Longer than any prompt. */
const promptLength = 32;

/** Bochs' debugger, which reads commands from its standard input and ends each answer with a prompt. */
export class BochsDebugger {
  readonly #write: (line: string) => void;
  #said = new TextTail(saidLimit);
  /** The end of what was said. */
  #end = '';
  #ended = false;
  #wake: (() => void) | null = null;

  /** `write` gets whole lines. */
  constructor(write: (line: string) => void) {
    this.#write = write;
  }

  /** The next piece of what the debugger says. */
  receive(text: string): void {
    this.#said.add(text);
    this.#end = (this.#end + text).slice(-promptLength);
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
      const prompt = /<bochs:\d+> $/.exec(this.#end)?.[0];
      if (prompt !== undefined) {
        const said = this.#said.toString().slice(0, -prompt.length);
        this.#said = new TextTail(saidLimit);
        this.#end = '';
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
  resume(): void {
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
