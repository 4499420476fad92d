/** The one argument of programs that are run by hand. */

/** A number above 0; where none is given, `otherwise`. With --help, or what is no such number, the usage is written and the process ends: 0, or 2. */
export function countArgument(usage: string, otherwise: number): number {
  const [, , text, more] = process.argv;
  if (text === undefined) return otherwise;
  if (text === '-h' || text === '--help') {
    process.stdout.write(usage);
    process.exit(0);
  }
  const count = Number(text);
  if (Number.isSafeInteger(count) && count > 0 && more === undefined) return count;
  process.stderr.write(`${more ?? text} is not expected here; expected one whole number above 0.\n\n${usage}`);
  process.exit(2);
}
