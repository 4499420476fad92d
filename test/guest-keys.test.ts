import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { Keys } from '../tool/cli/keys.ts';
import { parseConsole } from '../tool/cli/guest-console.ts';
import { WcvmmError } from '../common/errors.ts';

/** What the guest gets, and whether the person has stopped it. */
function typed(...chunks: readonly string[]): { text: string; isEnd: boolean } {
  const keys = new Keys();
  const got: number[] = [];
  for (const chunk of chunks) {
    const { bytes, isEnd } = keys.take(Buffer.from(chunk));
    got.push(...bytes);
    if (isEnd) return { text: Buffer.from(got).toString(), isEnd };
  }
  return { text: Buffer.from(got).toString(), isEnd: false };
}

test('Ctrl-a x stops the guest, also in two pieces; what comes after is nobody’s', () => {
  expect(typed('ls\r\u0001x rm')).toEqual({ text: 'ls\r', isEnd: true });
  expect(typed('ls\u0001', 'x')).toEqual({ text: 'ls', isEnd: true });
});

test('Ctrl-a twice is one for the guest, and Ctrl-c and Ctrl-a with another key are the guest’s too', () => {
  expect(typed('\u0001\u0001x')).toEqual({ text: '\u0001x', isEnd: false });
  expect(typed('\u0003\u0001c')).toEqual({ text: '\u0003\u0001c', isEnd: false });
});

test('all else is passed on as it is, in UTF-8 or not', () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 2, max: 255 })), fc.nat(20), (bytes, at) => {
      const keys = new Keys();
      const parts = [bytes.slice(0, at), bytes.slice(at)].map((part) => keys.take(Uint8Array.from(part)));
      expect(parts.flatMap((part) => [...part.bytes])).toEqual(bytes);
      expect(parts.some(({ isEnd }) => isEnd)).toBe(false);
    }),
  );
});

test('consoles', () => {
  expect([parseConsole('stdio'), parseConsole('none'), parseConsole('file:a b')]).toEqual([
    { kind: 'stdio' },
    { kind: 'none' },
    { kind: 'file', path: 'a b' },
  ]);
  for (const text of ['', 'tty', 'file:', 'file']) expect(() => parseConsole(text)).toThrow(WcvmmError);
});
