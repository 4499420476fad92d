import { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { execFileSync, spawnSync } from 'node:child_process';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it, test } from 'vitest';
import { configuration, withSerial } from '../testbed/bochs/configuration.ts';
import { BochsDebugger, askedToStop } from '../testbed/bochs/debugger.ts';
import { parseEptWalk, readEptLeaf } from '../testbed/bochs/ept.ts';
import { FrameReader, streams, type Stream } from '../testbed/bochs/frames.ts';
import { openState } from '../testbed/bochs/kept-state.ts';
import { packJob } from '../testbed/bochs/job.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'wcvmm-test-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

function frame(stream: number, bytes: Uint8Array): Uint8Array {
  const header = Buffer.alloc(6);
  header.set([0x1e, stream]);
  header.writeUInt32LE(bytes.length, 2);
  return Buffer.concat([header, bytes]);
}

/** A debugger that gives these answers. */
function answering(answers: Readonly<Record<string, string>>): BochsDebugger {
  const debug: BochsDebugger = new BochsDebugger((line) => debug.receive(`${answers[line.trim()] ?? ''}<bochs:2> `));
  return debug;
}

describe("Bochs' standard output", () => {
  const part = fc.oneof(
    fc.record({
      kind: fc.constant('text' as const),
      text: fc.string({ unit: fc.constantFrom('<', 'b', ':', '1', '>', ' ', '\n', '\xff') }),
    }),
    fc.record({
      kind: fc.constant('frame' as const),
      stream: fc.nat({ max: streams.length }),
      bytes: fc.uint8Array({ maxLength: 40 }),
    }),
  );

  it('is taken apart into text and streams, in whatever pieces it comes', () => {
    fc.assert(
      fc.property(fc.array(part), fc.infiniteStream(fc.integer({ min: 1, max: 9 })), (parts, sizes) => {
        const whole = Buffer.concat(
          parts.map((one) => (one.kind === 'text' ? Buffer.from(one.text, 'latin1') : frame(one.stream, one.bytes))),
        );
        const got = { text: '', data: new Map<Stream, number[]>() };
        const reader = new FrameReader({
          text: (text) => (got.text += text),
          data: (stream, bytes) => got.data.set(stream, [...(got.data.get(stream) ?? []), ...bytes]),
        });
        for (let at = 0; at < whole.length;) {
          const size = sizes.next().value;
          reader.push(whole.subarray(at, at + size));
          at += size;
        }
        expect(got.text).toBe(parts.map((one) => (one.kind === 'text' ? one.text : '')).join(''));
        // A stream of a later program, which this one does not know, is dropped and disturbs nothing.
        for (const [index, stream] of streams.entries()) {
          expect(got.data.get(stream) ?? []).toEqual(
            parts.flatMap((one) => (one.kind === 'frame' && one.stream === index ? [...one.bytes] : [])),
          );
        }
      }),
    );
  });
});

describe('the debugger', () => {
  it('waits for a prompt, whatever pieces it comes in, and is told of the end', async () => {
    const debug = new BochsDebugger(() => {});
    const stopped = debug.stopped();
    for (const piece of ['(0) Magic breakpoint\nNext at t=12\n<boc', 'hs:7> ']) debug.receive(piece);
    const said = (await stopped) ?? '';
    expect(askedToStop(said)).toBe(true);
    expect(askedToStop('(0).[1] ??? (physical address not available)\n')).toBe(false);
    const again = debug.stopped();
    debug.end();
    expect(await again).toBeNull();
  });
});

test('an instance that writes to the port without frames and without end does not fill the memory', async () => {
  const debug = new BochsDebugger(() => {});
  const megabyte = 'x'.repeat(1 << 20);
  for (let written = 0; written < 0x2000_0000; written += megabyte.length) debug.receive(megabyte);
  debug.receive('<bochs:1> ');
  expect((await debug.stopped())?.length).toBeLessThan(2 << 20);
});

/** As Bochs 2.7 writes it: the guest's tables are themselves guest-physical, so that EPT is walked for each. */
const WALK = `PML4: 0x0000000040007067    A pcd pwt U W P
    EPT PML4: 0x80000000025b4d07    E W R
    EPT PDPE: 0x80000000025b1d07    E W R
    EPT  PDE: 0x80000000025b2d07    E W R
    EPT  PTE: 0x80a00000017d3f77    E W R IGNORE_PAT WB
 PTE: 0x8000000100200063
    EPT PML4: 0x80000000025b4d07    E W R
    EPT PDPE: 0x80000000025b1d07    E W R
    EPT  PDE: 0x80000000025b0d07    E W R
`;

describe('the debugger as a reader of EPT', () => {
  it.each([
    [
      '    EPT  PTE: 0x80a00000c0011f0f    E W R ignore_pat WC',
      { level: 1, memoryType: 'WC', ignorePat: false, entry: 0x80a0_0000_c001_1f0fn },
    ],
    [
      '    EPT  PTE: 0x80a00000c0022f47    E W R IGNORE_PAT UC',
      { level: 1, memoryType: 'UC', ignorePat: true, entry: 0x80a0_0000_c002_2f47n },
    ],
    [
      '    EPT  PDE: 0x80a00000c0400fcf    PS E W R IGNORE_PAT WC',
      { level: 2, memoryType: 'WC', ignorePat: true, entry: 0x80a0_0000_c040_0fcfn },
    ],
  ])('%s', (line, leaf) => {
    expect(parseEptWalk(`${WALK}${line}\nphysical address: 0x0000c0011000\n`)).toEqual(leaf);
  });

  it.each([
    ['a page that is not mapped', WALK],
    ['nothing', ''],
    ['anything else', 'EPT  PTE: what?\n<bochs:3> '],
  ])('has no leaf of %s', (_what, text) => {
    expect(parseEptWalk(text)).toBeNull();
  });

  it('asks for the address that the guest names, and passes over a stop without the mark', async () => {
    const answers: Record<string, string> = {
      r: 'CPU0:\nrax: 00000000_80000000\nrcx: 00000001_00200000\nrdx: 00000000_77636d6d\n',
      'page 0x80000000': `${WALK}    EPT  PTE: 0x80a00000c0011f0f    E W R ignore_pat WC\n`,
    };
    expect(await readEptLeaf(answering(answers))).toMatchObject({ gpa: 0x1_0020_0000n, memoryType: 'WC', level: 1 });
    expect(
      await readEptLeaf(
        answering({ ...answers, r: 'rax: 00000000_80000000\nrcx: 00000001_00200000\nrdx: 00000000_00000000\n' }),
      ),
    ).toBeNull();
  });
});

const hasCpio = spawnSync('cpio', ['--version']).error === undefined;

it.skipIf(!hasCpio)('a job is an archive on a disk of one of few sizes (needs cpio)', async () => {
  mkdirSync(join(folder, 'work'));
  writeFileSync(join(folder, 'command'), 'exec true\n');
  writeFileSync(join(folder, 'work/in.txt'), 'input');
  const command = { args: ['wcvmm', 'run', 'x'], env: { A: 'b' }, interactive: false };
  const job = await packJob(folder, command);
  expect(job.length).toBe(4 << 20);
  const out = join(folder, 'out');
  mkdirSync(out);
  // As the instance does: from a disk, of which the archive is the beginning.
  writeFileSync(join(folder, 'disk'), job);
  execFileSync('sh', ['-c', 'cpio -idm --quiet <../disk'], { cwd: out });
  expect(readdirSync(out, { recursive: true }).sort()).toEqual([
    'command',
    'now',
    'seed',
    'wcvmm',
    'work',
    'work/in.txt',
  ]);
  expect(JSON.parse(readFileSync(join(out, 'wcvmm'), 'utf8'))).toEqual({ args: ['run', 'x'], env: { A: 'b' } });
  writeFileSync(join(folder, 'work/large'), Buffer.alloc(5 << 20));
  expect((await packJob(folder, { ...command, args: ['true'] })).length).toBe(8 << 20);
});

it('a kept state is opened with another job and another console, and is itself left as it was', async () => {
  const kept = join(folder, 'kept');
  const into = join(folder, 'session');
  mkdirSync(kept);
  writeFileSync(join(kept, 'memory.ram'), 'the memory');
  writeFileSync(join(kept, 'config'), configuration({ cpu: 'x', memory: 64, serial: { kind: 'file' } }));
  expect(await openState(kept, into, Buffer.from('job'), { kind: 'terminal', path: '/dev/pts/9' })).toBe(true);
  expect(readFileSync(join(into, 'memory.ram'), 'utf8')).toBe('the memory');
  expect(readFileSync(join(into, 'hard_drive.1.drive0.image'), 'utf8')).toBe('job');
  expect(readFileSync(join(into, 'config'), 'utf8')).toContain('mode=term, dev="/dev/pts/9"');
  expect(readFileSync(join(kept, 'config'), 'utf8')).toContain('mode=file, dev="console.log"');
  expect(statSync(join(kept, 'config')).isFile()).toBe(true);
  expect(await openState(join(folder, 'absent'), join(folder, 'other'), Buffer.from(''), { kind: 'file' })).toBe(false);
  expect(withSerial('com1: enabled=true, mode=file, dev="console.log"\n', { kind: 'file' })).toBe(
    'com1: enabled=1, mode=file, dev="console.log"\n',
  );
});
