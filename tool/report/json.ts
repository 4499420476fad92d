import { randomUUID } from 'node:crypto';
import type { Stats } from 'node:fs';
import { open, realpath, rename, rm, stat, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { WcvmmError } from '../../common/errors.ts';
import type { Comparison } from './machines.ts';
import type { Report } from './report.ts';

/** The report's JSON, one window and one check per line, so that two reports can be compared with diff. */
export function formatReport(report: Report): string {
  return formatLines(report);
}

/** As `formatReport`: one machine, attribute and difference per line. */
export function formatComparison(comparison: Comparison): string {
  return formatLines(comparison);
}

function formatLines(value: object, indent = ''): string {
  const inner = `${indent}  `;
  const fields = Object.entries(value).map(
    ([name, field]: [string, unknown]) => `${inner}${JSON.stringify(name)}: ${formatField(field, inner)}`,
  );
  return `{\n${fields.join(',\n')}\n${indent}}${indent === '' ? '\n' : ''}`;
}

function formatField(field: unknown, indent: string): string {
  if (isList(field)) return `[\n${field.map((item) => `${indent}  ${JSON.stringify(item)}`).join(',\n')}\n${indent}]`;
  // bench's figures are such a list.
  if (
    typeof field === 'object' &&
    field !== null &&
    Object.values(field).some((inner) => isList(inner) && inner.length > 6)
  )
    return formatLines(field, indent);
  return JSON.stringify(field);
}

function isList(value: unknown): value is readonly unknown[] {
  return Array.isArray(value) && value.length > 0;
}

/**
 * Writes to `path`: the whole of it or nothing, so that no reader ever sees half a report and a failed run leaves the
 * last one alone. Something that is there and no ordinary file (/dev/stdout, a pipe) is written to.
 *
 * @throws WcvmmError E_REPORT
 */
export async function writeWhole(path: string, text: string): Promise<void> {
  try {
    const there = await stat(path).catch(() => null);
    if (there && !there.isFile()) await writeFile(path, text);
    // A symbolic link stays one: what it points to is replaced.
    else await replaceFile(there ? await realpath(path) : path, text, there);
  } catch (error) {
    throw new WcvmmError(
      'E_REPORT',
      `the report could not be written to ${path}: ${error instanceof Error ? error.message : String(error)}`,
      { cause: error },
    );
  }
}

/** What takes a file's place has its owner and mode, as far as this user may give them. */
async function replaceFile(path: string, text: string, old: Stats | null): Promise<void> {
  // With a dot: who reads all files of a folder leaves those out.
  const temporary = join(dirname(path), `.${basename(path)}.${randomUUID()}.tmp`);
  try {
    const file = await open(temporary, 'wx');
    try {
      await file.writeFile(text);
      if (old !== null) {
        await file.chown(old.uid, old.gid).catch(() => {});
        await file.chmod(old.mode & 0o777);
      }
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
}
