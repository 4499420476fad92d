/** Reports from files, which may be anybody's: bounded in size, and checked before anything is believed. */
import { open } from 'node:fs/promises';
import type { Readable } from 'node:stream';
import { WcvmmError } from '../../common/errors.ts';
import type { Report } from './report.ts';
import { parseReport } from './schema.ts';

/** Bytes. The largest honest report, every cell that a guest can be asked, is a tenth of it. */
const MAX_SIZE = 32 << 20;

/**
 * @param path a file, or `-` for standard input
 * @throws WcvmmError E_REPORT naming the file, and the first field that is wrong
 */
export async function readReport(path: string): Promise<Report> {
  return parseReport(
    path === '-' ? await textOf(process.stdin, path) : await textOfFile(path),
    path === '-' ? 'standard input' : path,
  );
}

async function textOfFile(path: string): Promise<string> {
  try {
    const file = await open(path);
    return await textOf(file.createReadStream(), path);
  } catch (error) {
    if (error instanceof WcvmmError) throw error;
    throw new WcvmmError(
      'E_REPORT',
      `${path} cannot be read (${error instanceof Error ? error.message : String(error)}); expected a report, as --json writes it.`,
      { cause: error },
    );
  }
}

async function textOf(stream: Readable, path: string): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of stream as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > MAX_SIZE)
      throw new WcvmmError(
        'E_REPORT',
        `${path} is larger than ${MAX_SIZE >> 20} MiB; no report of wcvmm is that large.`,
      );
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}
