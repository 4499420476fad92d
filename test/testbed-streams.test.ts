import * as fc from 'fast-check';
import { describe, expect, it, vi } from 'vitest';
import { ControlChannel } from '../testbed/control.ts';
import { TextTail } from '../testbed/text-tail.ts';

/** A channel that has had `text`, in pieces of these sizes. */
function afterText(text: string, sizes: () => number, onUp = () => {}): ControlChannel {
  const channel = new ControlChannel(onUp);
  for (let at = 0; at < text.length;) {
    const size = sizes();
    channel.push(Buffer.from(text.slice(at, at + size), 'latin1'));
    at += size;
  }
  return channel;
}

describe('the control channel', () => {
  it.each([
    ['nothing', '', false, null],
    ['half a line', 'u', false, null],
    ['an instance that is up', 'up\n', true, null],
    ['a command that ended', 'up\nexit 7\n', true, 7],
    ['an exit code that nothing could have had', 'exit 7\n', false, null],
    ['a second exit code', 'up\nexit 7\nexit 0\n', true, 7],
    ['anything in between', `up\n${'x'.repeat(1000)}\nexit many\nexit 2\n`, true, 2],
    ['a line that only ends like one', 'up\n exit 2\n', true, null],
  ])('of %s', (_what, text, up, exitCode) => {
    fc.assert(
      fc.property(fc.infiniteStream(fc.integer({ min: 1, max: 9 })), (sizes) => {
        const onUp = vi.fn<() => void>();
        const channel = afterText(text, () => sizes.next().value, onUp);
        expect([channel.up, channel.exitCode, onUp.mock.calls.length]).toEqual([up, exitCode, up ? 1 : 0]);
      }),
    );
  });
});

describe('the end of a text', () => {
  it('is the text itself while it is short', () => {
    const tail = new TextTail(10);
    for (const piece of ['one', '', ' two', ' th']) tail.add(piece);
    expect(tail.toString()).toBe('one two th');
    tail.add('!');
    expect(tail.toString()).toBe('[only the last 10 characters were kept]\nne two th!');
  });

  it('needs no more memory when a kernel complains without pause', () => {
    // As much as makes a string of JavaScript too long, which ended the process.
    const line = 'watchdog: BUG: soft lockup - CPU#0 stuck for 22s!\n'.repeat(20_000);
    const tail = new TextTail(1000);
    let told = 0;
    for (; told < 0x2000_0000; told += line.length) tail.add(line);
    expect(tail.toString().length).toBe(1000 + '[only the last 1000 characters were kept]\n'.length);
    expect(tail.toString().endsWith('stuck for 22s!\n')).toBe(true);
  });

  it('is right in whatever pieces it comes', () => {
    fc.assert(
      fc.property(fc.array(fc.string({ maxLength: 30 })), fc.integer({ min: 1, max: 50 }), (pieces, limit) => {
        const tail = new TextTail(limit);
        for (const piece of pieces) tail.add(piece);
        const whole = pieces.join('');
        expect(tail.toString().endsWith(whole.slice(-limit))).toBe(true);
        expect(tail.toString() === whole).toBe(whole.length <= limit);
      }),
    );
  });
});
