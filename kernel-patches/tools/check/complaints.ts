import { posix } from 'node:path';

/**
 * The warnings and errors in what make, gcc and kernel-doc wrote, each once and without the place in the file,
 * which changes with every line that a patch adds above it. make compiles only what is out of date, so how often
 * gcc says something means nothing.
 */
export function complaints(output: readonly string[]): string[] {
  const found = output.flatMap((line) => {
    const match =
      /^(?:\.\.\/)*([\w./+-]+):\d+(?::\d+)?: (?:warning|error|fatal error): (.+)$/i.exec(line) ??
      /^(?:warning|error): (?:\.\.\/)*([\w./+-]+):\d+ (.+)$/i.exec(line);
    return match === null ? [] : [`${match[1]}: ${match[2]}`];
  });
  return [...new Set(found)].toSorted();
}

/**
 * What sparse complained of, one entry for each place: a place in a header counts once, whoever includes it, and
 * two places in a file with the same text are two, although neither says where it is. The lines below a
 * complaint, with the types that it is about, belong to it. gcc's warnings are left out: they end in their option.
 */
export function sparseComplaints(output: readonly string[]): string[] {
  const found = new Map<string, { text: string; details: Set<string> }>();
  const lastAt = new Map<string, Set<string>>();
  for (const line of output) {
    const [, path, position, detail, severity, text] =
      /^(?:\.\.\/)*([\w./+-]+):(\d+:\d+): (?: {2,}(.+)|(warning|error): (.+))$/.exec(line) ?? [];
    if (path === undefined || (text !== undefined && / \[-W[^\]]*\]$/.test(text))) continue;
    const file = posix.normalize(path);
    const place = `${file}:${position}`;
    if (detail !== undefined) lastAt.get(place)?.add(detail);
    if (text === undefined) continue;
    const key = `${place} ${text}`;
    const complaint = found.get(key) ?? {
      text: `${file}: ${severity === 'error' ? errorMark : ''}${text}`,
      details: new Set(),
    };
    found.set(key, complaint);
    lastAt.set(place, complaint.details);
  }
  return [...found.values()].map(({ text, details }) => [text, ...details].join(', ')).toSorted();
}

const errorMark = 'error: ';

/**
 * Where sparse may be silent about the rest, as it is after an error that it meets while it parses: those of
 * `files`, and headers, with an error in them.
 */
export function silencedFiles(found: readonly string[], files: readonly string[]): string[] {
  const inError = found.flatMap((complaint) => /^(\S+): error: /.exec(complaint)?.[1] ?? []);
  return [...new Set(inError)].filter((file) => file.endsWith('.h') || files.includes(file));
}

/** The entries of `now` that `before` does not have, or not as often. */
export function added(now: readonly string[], before: readonly string[]): string[] {
  const left = new Map<string, number>();
  for (const text of before) left.set(text, (left.get(text) ?? 0) + 1);
  return now.filter((text) => {
    const count = left.get(text) ?? 0;
    left.set(text, count - 1);
    return count <= 0;
  });
}
