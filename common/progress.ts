/** Where a long job says what it is doing. All of it goes to standard error: standard output is the answer's. */
export interface Progress {
  /** Something that may take long has begun. */
  phase(text: string): void;
  /** Something short has begun: shown on a terminal only. */
  moment(text: string): void;
  /** How far the phase is; shown on a terminal only, or now and then elsewhere. */
  update(text: string): void;
  /** The work is over: takes the line away, or ends it. */
  done(): void;
}

export const silent: Progress = { phase: () => {}, moment: () => {}, update: () => {}, done: () => {} };

interface Terminal {
  isTTY?: boolean | undefined;
  columns?: number | undefined;
  write(text: string): unknown;
}

const secondsBetweenPlainLines = 30;

/**
 * On a terminal one line that is rewritten, with the time since the phase began; elsewhere a line per phase,
 * and one more every half a minute so that a log shows life. `now` is in milliseconds.
 */
export function progressOn(stream: Terminal, now: () => number = Date.now): Progress {
  let phase = '';
  let began = 0;
  let wrote = 0;
  const elapsed = (): string => {
    const seconds = Math.floor((now() - began) / 1000);
    return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, '0')}`;
  };
  const show = (text: string): void => {
    const line = `wcvmm: ${text}`;
    stream.write(stream.isTTY === true ? `\r\u001B[K${line.slice(0, (stream.columns ?? 80) - 1)}` : `${line}\n`);
    wrote = now();
  };
  return {
    phase(text) {
      phase = text;
      began = now();
      show(text);
    },
    moment(text) {
      if (stream.isTTY === true) this.phase(text);
    },
    update(text) {
      const due = stream.isTTY === true ? 100 : secondsBetweenPlainLines * 1000;
      if (now() - wrote >= due) show(`${phase}: ${text}, ${elapsed()}`);
    },
    done() {
      if (stream.isTTY === true && phase !== '') stream.write('\r\u001B[K');
      phase = '';
    },
  };
}
