/** Characters that are joined before the next piece begins: few pieces, whatever the sizes that a stream comes in. */
const pieceLength = 64 << 10;

/** The end of a text that may be endless, such as the console of a kernel that complains without pause. */
export class TextTail {
  readonly #limit: number;
  readonly #pieces: string[] = [];
  #length = 0;
  #isWhole = true;

  /** @param limit in characters */
  constructor(limit: number) {
    this.#limit = limit;
  }

  add(text: string): void {
    const last = this.#pieces.at(-1);
    if (last !== undefined && last.length < pieceLength) this.#pieces[this.#pieces.length - 1] = last + text;
    else this.#pieces.push(text);
    this.#length += text.length;
    for (let first = this.#pieces[0]; first !== undefined; first = this.#pieces[0]) {
      if (this.#length - first.length < this.#limit) break;
      this.#pieces.shift();
      this.#length -= first.length;
      this.#isWhole = false;
    }
  }

  /** At most `limit` characters, after a line that says so where there were more. */
  toString(): string {
    const text = this.#pieces.join('');
    if (this.#isWhole && text.length <= this.#limit) return text;
    return `[only the last ${this.#limit} characters were kept]\n${text.slice(-this.#limit)}`;
  }
}
