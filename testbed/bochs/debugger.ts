import { TextTail } from '../text-tail.ts';

/** Characters that are kept of the output since the last prompt. Only an instance that writes to the port without frames comes near. */
const outputLimit = 1 << 20;

/** Longer than any prompt. */
const promptLength = 32;

/** Bochs' debugger, which reads commands from its standard input and ends each answer with a prompt. */
export class BochsDebugger {
  readonly #write: (line: string) => void;
  #output = new TextTail(outputLimit);
  /** The last characters of it. */
  #end = '';
  #ended = false;
  #wake: (() => void) | null = null;

  /** `write` gets whole lines. */
  constructor(write: (line: string) => void) {
    this.#write = write;
  }

  /** The next piece of the debugger's output. */
  receive(text: string): void {
    this.#output.add(text);
    this.#end = (this.#end + text).slice(-promptLength);
    this.#wake?.();
  }

  /** The emulator has ended: no command will be answered any more. */
  end(): void {
    this.#ended = true;
    this.#wake?.();
  }

  /** Waits until the instance stops. Returns the output up to there; null if the emulator ended instead. */
  async stopped(): Promise<string | null> {
    for (;;) {
      const prompt = /<bochs:\d+> $/.exec(this.#end)?.[0];
      if (prompt !== undefined) {
        const output = this.#output.toString().slice(0, -prompt.length);
        this.#output = new TextTail(outputLimit);
        this.#end = '';
        return output;
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
export function askedToStop(output: string): boolean {
  return /magic breakpoint/i.test(output);
}
