/** Standard output without Node's streams, and with them where they are needed. */
import { closeSync, constants, mkdtempSync, openSync, readFileSync, readSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { afterAll, describe, expect, test } from 'vitest';
import { Output } from '../common/output.ts';
import { pipe } from '../vmm/sys/sandbox-calls.ts';

const folder = mkdtempSync(join(tmpdir(), 'wcvmm-output-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const LONG = 'x'.repeat(100_000);
/** Of a pipe. */
const FULL = 65_536;

/** Takes the place of Node's stream of a terminal 77 columns wide. */
function streamInto(chunks: string[]): () => NodeJS.WriteStream {
  const stream = new Writable({
    write(chunk: Buffer, _encoding, done) {
      chunks.push(chunk.toString());
      done();
    },
  });
  return () => Object.assign(stream, { isTTY: true, columns: 77 }) as unknown as NodeJS.WriteStream;
}

function noStream(): NodeJS.WriteStream {
  throw new Error('no stream is needed');
}

describe('standard output', () => {
  test.each(['a file', '/dev/null'])('that is %s needs no stream', async (what) => {
    const path = what === 'a file' ? join(folder, 'file') : what;
    const fd = openSync(path, 'w');
    const output = new Output(fd, noStream);
    output.open();
    output.write('one ✓\n');
    await output.writeBytes(Buffer.from(LONG));
    expect([output.isTTY, output.columns]).toEqual([false, undefined]);
    closeSync(fd);
    expect(readFileSync(path, 'utf8')).toBe(what === 'a file' ? `one ✓\n${LONG}` : '');
  });

  test('that is a pipe needs no stream', () => {
    const [from, to] = pipe();
    new Output(to, noStream).write('two');
    const bytes = Buffer.alloc(8);
    expect(bytes.toString('utf8', 0, readSync(from, bytes))).toBe('two');
    for (const fd of [from, to]) closeSync(fd);
  });

  test.each(['write', 'writeBytes'] as const)(
    'that is a full pipe which does not block: %s gives a stream the rest',
    async (how) => {
      const [from, to] = pipe();
      const fd = openSync(`/proc/self/fd/${to}`, constants.O_WRONLY | constants.O_NONBLOCK);
      const chunks: string[] = [];
      const output = new Output(fd, streamInto(chunks));
      if (how === 'write') output.write(LONG);
      else await output.writeBytes(Buffer.from(LONG));
      output.write('the end');
      expect(chunks.map((chunk) => chunk.length)).toEqual([LONG.length - FULL, 'the end'.length]);
      for (const open of [from, to, fd]) closeSync(open);
    },
  );

  test('that nobody reads is for the stream, and for who waits', async () => {
    const [from, to] = pipe();
    closeSync(from);
    const gone = new Writable({ write: (_chunk, _encoding, done) => done(new Error('EPIPE')) });
    const output = new Output(to, () => gone as unknown as NodeJS.WriteStream);
    const heard: string[] = [];
    output.onError = ({ message }) => void heard.push(message);
    await expect(output.writeBytes(Buffer.from('nobody'))).rejects.toThrow('EPIPE');
    expect(heard).toEqual(['EPIPE']);
    closeSync(to);
  });

  test('that is a terminal is the stream from the first on', () => {
    const fd = openSync('/dev/ptmx', 'r+');
    const chunks: string[] = [];
    const output = new Output(fd, streamInto(chunks));
    output.write('three');
    expect([chunks, output.isTTY, output.columns]).toEqual([['three'], true, 77]);
    closeSync(fd);
  });
});
