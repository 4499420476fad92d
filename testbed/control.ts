/** No line of the control channel is longer. */
const longestLine = 64;

/**
 * Reads what an instance's first process sends on the control channel: "up" when it is about to run the command, then "exit CODE",
 * a line each. Keeps nothing else of it, however much comes.
 */
export class ControlChannel {
  readonly #onUp: () => void;
  #line = '';
  #up = false;
  #exitCode: number | null = null;

  constructor(onUp: () => void) {
    this.#onUp = onUp;
  }

  get up(): boolean {
    return this.#up;
  }

  /** Of the command; null until the instance has sent it. */
  get exitCode(): number | null {
    return this.#exitCode;
  }

  push(chunk: Uint8Array): void {
    const [first = '', ...more] = Buffer.from(chunk).toString('latin1').split('\n');
    this.#line = (this.#line + first).slice(0, longestLine);
    for (const next of more) {
      this.#take(this.#line);
      this.#line = next.slice(0, longestLine);
    }
  }

  #take(line: string): void {
    if (!this.#up && line === 'up') {
      this.#up = true;
      this.#onUp();
    }
    const code = /^exit (\d{1,3})$/.exec(line)?.[1];
    if (this.#up && code !== undefined) this.#exitCode ??= Number(code);
  }
}
