import { describe, expect, test } from 'vitest';
import { describeExit } from '../tool/verify/guest/exit.ts';
import { readRefusal } from '../vmm/kvm/exits.ts';
import { KVM_EXIT, KVM_RUN_LAYOUT, KVM_RUN_X86_BUS_LOCK } from '../vmm/sys/kvm.ts';
import { ERRNO } from '../vmm/sys/port.ts';
import { trappedDevice } from '../vmm/devices/trapped.ts';
import type { Device, Place } from '../vmm/bus/device.ts';
import { DONE, access, exitFor, playVcpu, portAccess } from './fake-vcpu.ts';
import { stubPort } from './stub-port.ts';
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

/** The word in guest memory has this value when the exit comes. */
function labelled(label: number, entry: Exit): Entry {
  return (state, vcpu) => {
    vcpu.setLabel(label);
    entry(state, vcpu);
  };
}

function alsoLocked(entry: Exit): Exit {
  return (state, vcpu) => {
    entry(state, vcpu);
    state.setUint16(KVM_RUN_LAYOUT.flags, KVM_RUN_X86_BUS_LOCK, true);
  };
}

function trappedAt(gpa: bigint): { window: Place & { readonly device: Device }; exits: Int32Array } {
  const exits = new SharedArrayBuffer(4);
  const memory = new ArrayBuffer(4096);
  const port = { ...stubPort({}).port, view: () => memory };
  const device = trappedDevice(port, { length: 4096n, address: 0x7200_0000_0000n, exits });
  return { window: { space: 'mmio', base: Number(gpa), size: 4096, device }, exits: new Int32Array(exits) };
}

function recorder(): { device: Device; stored: [number, number, number][] } {
  const stored: [number, number, number][] = [];
  const device: Device = {
    read(offset, length, data) {
      for (let at = 0; at < length; at += 1) data.setUint8(at, 0x10 + offset + at);
      return null;
    },
    write(offset, length, data) {
      stored.push([offset, length, data.getUint8(0)]);
      return null;
    },
  };
  return { device, stored };
}

const stopped: Exit = (state) => {
  exitFor(KVM_EXIT.intr)(state, { setLabel: () => {} });
  state.setUint8(KVM_RUN_LAYOUT.immediateExit, 1);
};

describe('KVM_RUN', () => {
  test('is entered again after a signal that was not meant to stop it', () => {
    expect(playVcpu(['EINTR', 'EINTR', DONE])).toMatchObject({ exit: { kind: 'done' }, entries: 3 });
  });

  test('that fails ends the guest, with its errno', () => {
    for (const errno of ['EFAULT', 'ENOSYS', 'EIO'] as const) {
      expect(playVcpu([errno]).exit).toEqual({ kind: 'killed', errno: ERRNO[errno], fault: null });
    }
  });

  test('that fails with EFAULT tells of which access, if KVM says so', () => {
    // What KVM leaves in struct kvm_run for the refusal that comes next; a served exit may not pass for it.
    const fault = exitFor(KVM_EXIT.memoryFault, (state) => {
      state.setBigUint64(KVM_RUN_LAYOUT.memoryFault.gpa, 0x1_0000_1000n, true);
      state.setBigUint64(KVM_RUN_LAYOUT.memoryFault.size, 4096n, true);
    });
    const state = new DataView(new ArrayBuffer(256));
    fault(state, { setLabel: () => {} });
    expect(readRefusal(state, ERRNO.EFAULT)).toEqual({
      kind: 'killed',
      errno: ERRNO.EFAULT,
      fault: { gpa: 0x1_0000_1000n, length: 4096n, isPrivate: false, pc: null, access: null, isAlignment: null },
    });
    expect(readRefusal(state, ERRNO.ENOSYS)).toMatchObject({ fault: null });
    expect(describeExit(readRefusal(state, ERRNO.EFAULT))).toMatch(/at gpa 0x100001000/);
  });

  test('is entered again after EINTR as an exit reason too', () => {
    expect(playVcpu([exitFor(KVM_EXIT.intr), DONE])).toMatchObject({ exit: { kind: 'done' }, entries: 2 });
  });

  test('stops for the flag that somebody set, and says so', () => {
    expect(playVcpu([stopped]).exit).toEqual({ kind: 'interrupted' });
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
    ['HLT without an interrupt controller', exitFor(KVM_EXIT.hlt), { kind: 'halted' }, /halted/],
    [
      'power-off by PSCI',
      exitFor(KVM_EXIT.systemEvent, (state) => state.setUint32(KVM_RUN_LAYOUT.systemEvent.type, 1, true)),
      { kind: 'system-event', event: 'shutdown' },
      /power-off/,
    ],
    [
      'a system event that nobody knows',
      exitFor(KVM_EXIT.systemEvent, (state) => state.setUint32(KVM_RUN_LAYOUT.systemEvent.type, 77, true)),
      { kind: 'system-event', event: { type: 77 } },
      /system event 77/,
    ],
    ['an exit that nobody knows', exitFor(4711), { kind: 'unexpected', reason: 4711 }, /reason 4711/],
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

  test('gives a load what a store has left there, and counts both', () => {
    const { window, exits } = trappedAt(GPA);
    const { exit, loaded } = playVcpu(
      [
        access(GPA + 8n, 8, 0x0123_4567_89ab_cdefn),
        access(GPA + 8n, 8, null),
        access(GPA + 12n, 4, null),
        access(GPA + 15n, 1, null),
        DONE,
      ],
      { mmio: [window] },
    );
    expect(exit).toEqual({ kind: 'done', status: 0 });
    expect(loaded).toEqual([0x0123_4567_89ab_cdefn, 0x0123_4567n, 0x01n]);
    expect(exits[0]).toBe(4);
  });

  test.each<[string, Exit, string]>([
    ['over its end', access(GPA + 4092n, 8, 1n), 'crosses-end'],
    ['of more than 8 bytes', access(GPA, 16, null), 'crosses-end'],
    ['of no bytes', access(GPA, 0, null), 'crosses-end'],
    ['right behind it', access(GPA + 4096n, 1, null), 'unmapped'],
    ['right before it', access(GPA - 1n, 1, 1n), 'unmapped'],
    ['that wraps around', access((1n << 64n) - 4n, 8, 1n), 'unmapped'],
  ])('makes no access %s', (_name, entry, kind) => {
    const { window, exits } = trappedAt(GPA);
    const { exit } = playVcpu([entry], { mmio: [window] });
    expect(exit).toMatchObject({ kind });
    expect(describeExit(exit)).toMatch(/0x/);
    expect(exits[0]).toBe(0);
  });

  test('is where an access that arm64 cannot describe is one that KVM cannot hand over', () => {
    const { exit } = playVcpu([nisv(GPA + 64n, 1n << 6n)], { mmio: [trappedAt(GPA).window] });
    expect(exit).toEqual({ kind: 'not-emulated', instruction: null, address: GPA + 64n });
    expect(describeExit(exit)).toMatch(/no load or store of one general register.*only plain loads and stores/);
  });
});

describe('port I/O', () => {
  test('reaches the device at the port, each element of a string instruction by itself', () => {
    const { device, stored } = recorder();
    const { exit, loaded } = playVcpu(
      [portAccess(0x3f8, 1, [7, 8, 9]), portAccess(0x3fa, 2, { count: 2 }), portAccess(0x3f8, 4, [1]), DONE],
      { pio: [{ space: 'pio', base: 0x3f8, size: 8, device }] },
    );
    expect(exit).toEqual({ kind: 'done', status: 0 });
    expect(stored).toEqual([
      [0, 1, 7],
      [0, 1, 8],
      [0, 1, 9],
      [0, 4, 1],
    ]);
    expect(loaded).toEqual([0x1312_1312n]);
  });

  test('has addresses of its own, and ends the guest where nothing answers', () => {
    const { device, stored } = recorder();
    const place = { base: 0x80, size: 1, device };
    const { exit } = playVcpu([portAccess(0x80, 1, [1])], { mmio: [{ ...place, space: 'mmio' }] });
    expect(exit).toEqual({ kind: 'unmapped', space: 'pio', address: 0x80n, isWrite: true, length: 1 });
    expect(describeExit(exit)).toMatch(/at port 0x80/);
    expect(playVcpu([portAccess(0x80, 2, [1])], { pio: [{ ...place, space: 'pio' }] }).exit).toMatchObject({
      kind: 'crosses-end',
    });
    expect(stored).toEqual([]);
  });
});

describe('bus locks', () => {
  const locked = alsoLocked(exitFor(KVM_EXIT.x86BusLock));

  test('are counted by the label at the time, and the guest goes on', () => {
    const { exit, busLocks } = playVcpu([labelled(2, locked), locked, labelled(5, locked), labelled(0, locked), DONE]);
    expect(exit).toEqual({ kind: 'done', status: 0 });
    expect(busLocks).toEqual([
      { label: 2, count: 2 },
      { label: 5, count: 1 },
      { label: 0, count: 1 },
    ]);
  });

  test('are counted too where the exit is about something else', () => {
    expect(playVcpu([labelled(1, alsoLocked(DONE))])).toMatchObject({
      exit: { kind: 'done' },
      busLocks: [{ label: 1, count: 1 }],
    });
  });

  test('of a label that is too large are of none', () => {
    const wild = Array.from({ length: 50 }, (_, index) => labelled(1000 + index, locked));
    expect(playVcpu([...wild, DONE]).busLocks).toEqual([{ label: 0, count: 50 }]);
  });

  test('there are none where KVM tells of none', () => {
    expect(playVcpu([DONE]).busLocks).toEqual([]);
  });
});
