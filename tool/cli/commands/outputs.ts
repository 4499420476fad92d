/** --json, --junit, --tap and --html: files that a report is written to. */
import { dirname, resolve } from 'node:path';
import type { Command } from 'commander';
import { WcvmmError } from '../../../common/errors.ts';
import { statOrNull } from '../../../common/files.ts';
import { standardOutput } from '../../../common/output.ts';
import { FORMATS, FORMAT_NAMES } from '../../report/formats.ts';
import type { Format } from '../../report/formats.ts';
import type { NamedReport } from '../../report/machine.ts';
import { styleOf } from '../../../common/terminal.ts';
import type { Style } from '../../../common/terminal.ts';

/** Paths, by format; `-` is standard output. */
export type OutputOptions = { readonly [format in Format]?: string };

export function addOutputOptions(command: Command): Command {
  return FORMAT_NAMES.reduce((to, format) => {
    const others = FORMAT_NAMES.filter((name) => name !== 'json').map((name) => `--${name}`);
    const dash = format === 'json' ? `; "-" means stdout and suppresses the text (same for ${others.join(', ')})` : '';
    return to.option(`--${format} <file>`, `write the report to a file as ${FORMATS[format].what}${dash}`);
  }, command);
}

interface Output {
  readonly format: Format;
  readonly path: string;
}

function outputsOf(options: OutputOptions): readonly Output[] {
  return FORMAT_NAMES.flatMap((format) => {
    const path = options[format];
    return path === undefined ? [] : [{ format, path }];
  });
}

/** Those of the outputs that are files. */
export function reportPaths(options: OutputOptions): readonly string[] {
  return outputsOf(options).flatMap(({ path }) => (path === '-' ? [] : [path]));
}

/** For a process that can load nothing when it is to write. */
export async function loadWriters(options: OutputOptions): Promise<void> {
  await Promise.all(outputsOf(options).map(({ format }) => FORMATS[format].load()));
}

/**
 * Before the work, which may be long: can all of it be written at the end?
 *
 * @throws WcvmmError E_USAGE for two outputs to one place, E_REPORT for a folder that does not exist
 */
export async function checkOutputs(options: OutputOptions): Promise<void> {
  const taken = new Map<string, Format>();
  for (const { format, path } of outputsOf(options)) {
    const place = path === '-' ? path : resolve(path);
    const other = taken.get(place);
    if (other !== undefined)
      throw new WcvmmError(
        'E_USAGE',
        `--${other} and --${format} both name ${path === '-' ? 'standard output' : path}; expected a file for each.`,
      );
    taken.set(place, format);
    if (path === '-') continue;
    if (statOrNull(dirname(place))?.isDirectory() !== true)
      throw new WcvmmError(
        'E_REPORT',
        `--${format} ${path} cannot be written: the folder ${dirname(place)} does not exist. Create it, or name another.`,
      );
  }
}

/** Writes every output that was asked for, and the text unless one of them goes to standard output. */
export async function writeOutputs(
  options: OutputOptions,
  reports: readonly NamedReport[],
  text: (style: Style) => Promise<string>,
  writeReport?: (path: string, text: string) => Promise<void>,
): Promise<void> {
  await writeTexts(
    options,
    (format) => FORMATS[format].write(reports),
    () => text(styleOf(standardOutput, process.env)),
    writeReport,
  );
}

/** The same of anything that has these formats. */
export async function writeTexts(
  options: OutputOptions,
  write: (format: Format) => Promise<string>,
  text: () => Promise<string>,
  writeReport?: (path: string, text: string) => Promise<void>,
): Promise<void> {
  const outputs = outputsOf(options);
  for (const { format, path } of outputs) {
    const written = await write(format);
    if (path === '-') standardOutput.write(written);
    else await (writeReport ?? (await import('../../report/json.ts')).writeWhole)(path, written);
  }
  if (!outputs.some(({ path }) => path === '-')) standardOutput.write(await text());
}
