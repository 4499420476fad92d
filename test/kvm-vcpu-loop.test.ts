import { describe, expect, test } from 'vitest';
import { describeExit } from '../tool/verify/guest/exit.ts';
import { KVM_EXIT, KVM_RUN_LAYOUT, KVM_RUN_X86_BUS_LOCK } from '../vmm/sys/kvm.ts';
import { DONE, DOORBELL_GPA, access, exitFor, playVcpu } from './fake-vcpu.ts';
import type { Entry, Exit } from './fake-vcpu.ts';

function emulationFailure({ count, flags, bytes }: { count: number; flags: bigint; bytes: readonly number[] }): Entry {
  return exitFor(KVM_EXIT.internalError, (state) => {
    const { internalError } = KVM_RUN_LAYOUT;
    state.setUint32(internalError.suberror, 1, true);
    state.setUint32(internalError.count, count, true);
    state.setBigUint64(internalError.flags, flags, true);
    state.setUint8(internalError.instructionSize, bytes.length);
    for (const [at, byte] of bytes.entries()) state.setUint8(internalError.instruction + at, byte);
  });
}

function nisv(address: bigint, syndrome: bigint): Exit {
  return exitFor(KVM_EXIT.armNisv, (state) => {
    state.setBigUint64(KVM_RUN_LAYOUT.armNisv.syndrome, syndrome, true);
    state.setBigUint64(KVM_RUN_LAYOUT.armNisv.address, address, true);
  });
}

/** The guest's log names the cell when the exit comes. */
function inCell(cell: number | null, entry: Exit): Entry {
  return (state, vcpu) => {
    vcpu.setUnderWay(cell);
    entry(state, vcpu);
  };
}

function alsoLocked(entry: Exit): Exit {
  return (state, vcpu) => {
    entry(state, vcpu);
    state.setUint16(KVM_RUN_LAYOUT.flags, KVM_RUN_X86_BUS_LOCK, true);
  };
}

describe('the doorbell', () => {
  test('prints whole lines, and what is left when the guest ends', () => {
    const letters = [...'ab\nc'].map((letter) => access(DOORBELL_GPA, 4, BigInt(letter.codePointAt(0) ?? 0)));
    const { console, exit, entries } = playVcpu([...letters, DONE]);
    expect(console).toBe('ab\nc');
    expect(exit).toEqual({ kind: 'done', status: 0 });
    expect(entries).toBe(5);
  });

  test.each([
    ['a load from it', access(DOORBELL_GPA, 4, null)],
    ['a store behind it', access(DOORBELL_GPA + 4096n, 4, 1n)],
    ['a store before it', access(DOORBELL_GPA - 4n, 4, 1n)],
  ])('is its page and its stores only: %s ends the guest', (_name, entry) => {
    expect(playVcpu([entry]).exit).toMatchObject({ kind: 'unmapped', length: 4 });
  });
});

describe('KVM_RUN', () => {
  test('is entered again after a signal that was not meant to stop it', () => {
    expect(playVcpu(['EINTR', 'EINTR', DONE])).toMatchObject({ exit: { kind: 'done' }, entries: 3 });
  });

  test.each(['EFAULT', 'ENOSYS', 'EIO'] as const)('that fails with %s ends the guest', (errno) => {
    expect(playVcpu([errno]).exit).toMatchObject({ kind: 'killed' });
  });
});

describe('a last exit', () => {
  test.each<[string, Entry, object, RegExp]>([
    ['a triple fault', exitFor(KVM_EXIT.shutdown), { kind: 'shutdown' }, /triple fault/],
    [
      'a refused state',
      exitFor(KVM_EXIT.failEntry, (state) => state.setBigUint64(KVM_RUN_LAYOUT.failEntry.reason, 0x8000_0021n, true)),
      { kind: 'entry-failed', reason: 0x8000_0021n },
      /0x80000021/,
    ],
    [
      'an instruction that is not emulated',
      emulationFailure({ count: 8, flags: 1n, bytes: [0x66, 0x0f, 0x38, 0x2a, 0x06] }),
      { kind: 'not-emulated', instruction: '66 0f 38 2a 06' },
      /its bytes: 66 0f 38 2a 06/,
    ],
    [
      'one whose bytes KVM keeps to itself',
      emulationFailure({ count: 0, flags: 1n, bytes: [1] }),
      { kind: 'not-emulated', instruction: null },
      /does not say which/,
    ],
    [
      'one whose flags say that there are no bytes',
      emulationFailure({ count: 8, flags: 0n, bytes: [1] }),
      { kind: 'not-emulated', instruction: null },
      /does not say which/,
    ],
    [
      'another internal error',
      exitFor(KVM_EXIT.internalError, (state) => state.setUint32(KVM_RUN_LAYOUT.internalError.suberror, 3, true)),
      { kind: 'unexpected', reason: 17, detail: 3 },
      /reason 17 \(detail 3\)/,
    ],
    [
      'an unknown store to nowhere on arm64',
      nisv(0x5000n, 1n << 6n),
      { kind: 'unmapped', address: 0x5000n, isWrite: true, length: null },
      /wrote something at gpa 0x5000/,
    ],
    [
      'an unknown load from nowhere on arm64',
      nisv(0x5000n, 0n),
      { kind: 'unmapped', isWrite: false },
      /read something/,
    ],
    ['HLT, which no bare guest has a use for', exitFor(5), { kind: 'unexpected', reason: 5 }, /reason 5/],
  ])('%s is told in a sentence', (_name, entry, exit, sentence) => {
    const run = playVcpu([entry]);
    expect(run.exit).toMatchObject(exit);
    expect(describeExit(run.exit)).toMatch(sentence);
  });

  test('believes no size of an instruction that is longer than there is room for', () => {
    const { exit } = playVcpu([
      emulationFailure({ count: 8, flags: 1n, bytes: Array.from({ length: 200 }, () => 0x90) }),
    ]);
    expect(exit.kind === 'not-emulated' && exit.instruction?.split(' ')).toHaveLength(15);
  });
});

describe('a trapped window', () => {
  const GPA = 0x1_0000_0000n;
  const window = { gpa: GPA, length: 4096n, address: 0x7200_0000_0000n };
  const play = (...entries: readonly Entry[]) =>
    playVcpu([...entries, DONE], { trapped: [window] }, new Map([[window.address, new ArrayBuffer(4096)]]));

  test('gives a load what a store has left there, and counts both', () => {
    const { exit, loaded, trappedExits } = play(
      access(GPA + 8n, 8, 0x0123_4567_89ab_cdefn),
      access(GPA + 8n, 8, null),
      access(GPA + 12n, 4, null),
      access(GPA + 15n, 1, null),
    );
    expect(exit).toEqual({ kind: 'done', status: 0 });
    expect(loaded).toEqual([0x0123_4567_89ab_cdefn, 0x0123_4567n, 0x01n]);
    expect(trappedExits).toEqual([4]);
  });

  test.each<[string, Exit, string]>([
    ['over its end', access(GPA + 4092n, 8, 1n), 'leaves-window'],
    ['of more than 8 bytes', access(GPA, 16, null), 'leaves-window'],
    ['of no bytes', access(GPA, 0, null), 'leaves-window'],
    ['right behind it', access(GPA + 4096n, 1, null), 'unmapped'],
    ['right before it', access(GPA - 1n, 1, 1n), 'unmapped'],
    ['that wraps around', access((1n << 64n) - 4n, 8, 1n), 'unmapped'],
  ])('makes no access %s', (_name, entry, kind) => {
    const { exit, trappedExits } = playVcpu(
      [entry],
      { trapped: [window] },
      new Map([[window.address, new ArrayBuffer(4096)]]),
    );
    expect(exit).toMatchObject({ kind });
    expect(describeExit(exit)).toMatch(/0x/);
    expect(trappedExits).toEqual([0]);
  });

  test('is where an access that arm64 cannot describe is one that KVM cannot hand over', () => {
    const { exit } = playVcpu(
      [nisv(GPA + 64n, 1n << 6n)],
      { trapped: [window] },
      new Map([[window.address, new ArrayBuffer(4096)]]),
    );
    expect(exit).toEqual({ kind: 'not-emulated', instruction: null, address: GPA + 64n });
    expect(describeExit(exit)).toMatch(/no load or store of one general register.*--enforce/);
  });
});

describe('bus locks', () => {
  const locked = alsoLocked(exitFor(KVM_EXIT.x86BusLock));

  test('are counted by the cell that was under way, and the guest goes on', () => {
    const { exit, busLocks } = playVcpu([inCell(2, locked), locked, inCell(5, locked), inCell(null, locked), DONE]);
    expect(exit).toEqual({ kind: 'done', status: 0 });
    expect(busLocks).toEqual([
      { cell: 2, count: 2 },
      { cell: 5, count: 1 },
      { cell: null, count: 1 },
    ]);
  });

  test('are counted too where the exit is about something else', () => {
    expect(playVcpu([inCell(1, alsoLocked(DONE))])).toMatchObject({
      exit: { kind: 'done' },
      busLocks: [{ cell: 1, count: 1 }],
    });
  });

  test("of a cell that nobody asked about are no cell's", () => {
    const wild = Array.from({ length: 50 }, (_, index) => inCell(1000 + index, locked));
    expect(playVcpu([...wild, DONE]).busLocks).toEqual([{ cell: null, count: 50 }]);
  });

  test('there are none where KVM tells of none', () => {
    expect(playVcpu([DONE]).busLocks).toEqual([]);
  });
});
