/** One run of a bare guest, on a KVM that is made up: what the guest is given, and what is taken from it. */
import { describe, expect, test } from 'vitest';
import type { ProbeName } from '../memattr/index.ts';
import { ABI, CELL_AT, LOG_AT, PARAMS_AT, SIZE_OF } from '../tool/verify/guest/abi.ts';
import { createDevice } from '../tool/verify/guest/exchange.ts';
import { runGuest } from '../tool/verify/guest/run.ts';
import type { GuestRequest, GuestRun } from '../tool/verify/guest/run.ts';
import type { KvmArchitecture } from '../vmm/kvm/arch/arch.ts';
import type { VcpuExit } from '../vmm/kvm/exits.ts';
import type { VcpuRun } from '../vmm/kvm/vcpu-protocol.ts';
import type { VcpuRunOptions, VcpuRunner } from '../vmm/kvm/vcpu-runner.ts';
import { BARE_MAP } from '../vmm/machines/bare.ts';
import type { GuestWindow } from '../vmm/memory/guest-window.ts';
import type { GuestRam } from '../vmm/memory/ram.ts';
import { ERRNO } from '../vmm/sys/port.ts';
import type { ErrnoName, Port } from '../vmm/sys/port.ts';
import { stubPort } from './stub-port.ts';

const CREATE_VM = 0xae01;
const ENABLE_CAP = 0x4068_aea3;
const TRANSLATE = 0xc018_ae85;
/** Of its structure: the address, whether stage 1 maps it, the attribute. */
const TRANSLATION = { address: 0, valid: 16, attribute: 19 } as const;
/** The one that this KVM has something to say of, and what. */
const TRANSLATED = { address: 0x1_0020_1000n, attribute: 0x44 } as const;
const THREAD = 4711;
const TRACEFS = '/sys/kernel/tracing';
const STAGE2 = '0x0000000100000000-0x0000000100001000           4K 3     R W   AF   MEM/NORMAL-NC\n';

/** What the guest finds, and can do. */
interface Inside {
  readonly params: DataView;
  readonly cells: DataView;
  readonly log: DataView;
  readonly options: VcpuRunOptions;
  ring(cell: number): void;
}

interface MadeUp {
  readonly play?: (inside: Inside) => VcpuExit;
  readonly request?: Partial<GuestRequest>;
  readonly refuse?: Readonly<Record<number, ErrnoName>>;
  readonly arch?: KvmArchitecture['name'];
  readonly busLocks?: VcpuRun['busLocks'] | null;
  /** The trace of faults; absent: there is no such tracepoint. */
  readonly trace?: string;
}

const DONE: VcpuExit = { kind: 'done', status: 0 } as VcpuExit;
const KILLED: VcpuExit = { kind: 'killed', errno: ERRNO.EFAULT, fault: null } as VcpuExit;

function windowAt(gpa: bigint, address: bigint, length = 0x2000n): GuestWindow {
  return { gpa, mapping: { address, length }, access: 'mapped' } as GuestWindow;
}

const WINDOWS = [windowAt(0x1_0000_0000n, 0x10_0000n), windowAt(0x1_0020_0000n, 0x20_0000n)];

function cell(probe: ProbeName, more: Partial<GuestRequest['cells'][number]> = {}): GuestRequest['cells'][number] {
  return { window: 0, stage1: 0, probe, offset: 0n, argument: 7n, ...more };
}

/** All that was asked of the kernel, and the run. */
interface Played {
  readonly run: GuestRun;
  readonly enabled: readonly number[];
  readonly entries: number;
  readonly traced: ReadonlyMap<string, string>;
  /** Files and mappings. */
  readonly stillOpen: number;
}

async function played({ play = () => DONE, request = {}, refuse = {}, ...made }: MadeUp = {}): Promise<Played> {
  const memory = new Map<bigint, ArrayBuffer>();
  const enabled: number[] = [];
  const stub = stubPort({
    nodes: new Proxy<Record<string, 'ok'>>({}, { get: () => 'ok', has: () => false }),
    folders:
      made.trace === undefined ? {} : { [`${TRACEFS}/instances`]: [], [`${TRACEFS}/events/kvm/kvm_guest_fault`]: [] },
  });
  const port: Port = {
    ...stub.port,
    ioctl(fd, asked, argument) {
      const refused = refuse[asked];
      if (refused !== undefined) return stubPort({ ioctls: { [asked]: refused } }).port.ioctl(fd, asked, argument);
      if (asked === 0xae00) return 12;
      if (asked === ENABLE_CAP && argument instanceof Uint8Array) enabled.push(argument[0] ?? 0);
      if (asked === TRANSLATE && argument instanceof Uint8Array) {
        const structure = new DataView(argument.buffer);
        if (structure.getBigUint64(TRANSLATION.address, true) === TRANSLATED.address)
          structure.setUint8(TRANSLATION.valid, 1);
        structure.setUint8(TRANSLATION.attribute, TRANSLATED.attribute);
      }
      if (asked === CREATE_VM || asked === 0xae41) return stub.port.memfd('', 0n);
      return asked === 0xae04 ? 4096 : 0;
    },
    view(address, length) {
      const known = memory.get(address);
      if (known?.byteLength === length) return known;
      const fresh = new ArrayBuffer(length);
      memory.set(address, fresh);
      return fresh;
    },
    readText: (path) => {
      if (path.endsWith('/stage2_page_tables')) return STAGE2;
      return path.endsWith('/trace') ? (made.trace ?? '') : stub.port.readText(path);
    },
  };
  const cells = request.cells ?? [cell('unaligned-load')];
  let ram: GuestRam | null = null;
  let entries = 0;
  const thread: VcpuRunner = {
    id: () => Promise.resolve(THREAD),
    prepare: () => Promise.resolve(),
    run(_port, vcpu, options) {
      entries += 1;
      const at = (offset: number, length: number): DataView => {
        if (ram === null) throw new Error('the guest has no RAM');
        return new DataView(port.view(ram.address(BARE_MAP.ramBase + BigInt(offset)), length));
      };
      const sync = options.devices.find(({ options: own }) => own !== undefined && 'exchanges' in (own as object));
      const device =
        sync === undefined ? null : createDevice({ port, vcpu: vcpu.fd, isStopping: () => false }, sync.options);
      const inside: Inside = {
        params: at(ABI.paramsOffset, SIZE_OF.params),
        cells: at(ABI.cellsOffset, cells.length * SIZE_OF.cell),
        log: at(ABI.logOffset, SIZE_OF.log),
        options,
        ring(number) {
          const data = new DataView(new ArrayBuffer(8));
          data.setUint32(0, number, true);
          device?.write?.(0, 4, data);
        },
      };
      return Promise.resolve({ exit: play(inside), busLocks: made.busLocks ?? [] });
    },
    kick: () => {},
    close: () => Promise.resolve(),
  };
  const arch: KvmArchitecture = {
    name: made.arch ?? 'arm64',
    initBareVcpu: () => {},
    enableExits: () => ({ busLocks: made.busLocks !== null }),
    facts: () => expect.unreachable(),
  };
  const run = await runGuest(port, arch, thread, {
    image: { entry: BARE_MAP.ramBase, segments: [] },
    windows: WINDOWS,
    stage1: [0x44, 0x04],
    timeoutMs: 1000,
    ...request,
    cells,
    onRam: (given) => {
      ram = given;
      request.onRam?.(given);
    },
  });
  return { run, enabled, entries, traced: stub.written, stillOpen: stub.open.size + stub.mapped.size };
}

describe('a guest', () => {
  test('finds its windows, types and cells, and nothing of it is left', async () => {
    const found: unknown[] = [];
    const cells = [cell('unaligned-load'), cell('data-read', { window: 1, stage1: 1, offset: 64n, argument: 9n })];
    const { run, stillOpen, entries, enabled } = await played({
      request: { cells },
      play: ({ params, cells: asked }) => {
        found.push(
          params.getBigUint64(PARAMS_AT.magic, true),
          [PARAMS_AT.windowCount, PARAMS_AT.stage1Count, PARAMS_AT.cellCount].map((at) => params.getUint32(at, true)),
          [0, 1].map((at) => params.getUint8(PARAMS_AT.stage1 + at)),
          [0, 8, 16, 24].map((at) => params.getBigUint64(PARAMS_AT.windows + at, true)),
          [CELL_AT.window, CELL_AT.stage1].map((at) => asked.getUint32(SIZE_OF.cell + at, true)),
          [CELL_AT.offset, CELL_AT.argument].map((at) => asked.getBigUint64(SIZE_OF.cell + at, true)),
        );
        return DONE;
      },
    });
    expect(found).toEqual([
      ABI.magic,
      [2, 2, 2],
      [0x44, 0x04],
      [0x1_0000_0000n, 0x2000n, 0x1_0020_0000n, 0x2000n],
      [1, 1],
      [64n, 9n],
    ]);
    expect([run.exit, run.hostChecks, run.translations, run.windowExits]).toEqual([DONE, [], [], [0, 0]]);
    expect([entries, enabled, stillOpen]).toEqual([1, [], 0]);
  });

  test('leaves its log, and KVM what it programmed', async () => {
    const { run } = await played({
      play: ({ log }) => {
        log.setBigUint64(LOG_AT.magic, ABI.magic, true);
        log.setUint8(SIZE_OF.log - 1, 5);
        return DONE;
      },
    });
    expect([run.log.length, new DataView(run.log.buffer).getBigUint64(0, true), run.log.at(-1)]).toEqual([
      SIZE_OF.log,
      ABI.magic,
      5,
    ]);
    expect(run.stage2).toMatchObject({ kind: 'read', ranges: [{ start: 1n << 32n, memoryType: 'Normal-NC' }] });
  });

  test('has its bus locks counted by the cell that its log names', async () => {
    const busLocks = [
      { label: 0, count: 4 },
      { label: 1, count: 2 },
      { label: 3, count: 1 },
    ];
    let label: unknown = null;
    const cells = [cell('atomic'), cell('atomic'), cell('atomic')];
    const { run } = await played({
      busLocks,
      request: { cells },
      play: ({ options }) => {
        label = options.busLockLabel;
        return DONE;
      },
    });
    expect(run.busLocks).toEqual([
      { cell: null, count: 4 },
      { cell: 0, count: 2 },
      { cell: 2, count: 1 },
    ]);
    expect(label).toMatchObject({ most: 3 });
    expect((await played({ busLocks: null })).run.busLocks).toBeNull();
  });

  test('has RAM of the length that is asked for', async () => {
    const lengths: (bigint | undefined)[] = [];
    const onRam = ({ regions }: GuestRam): void => void lengths.push(regions[0]?.length);
    await played({ request: { onRam } });
    await played({ request: { onRam, ramLength: 1n << 24n } });
    expect(lengths).toEqual([BigInt(ABI.ramSize), 1n << 24n]);
  });
});

describe('the host’s half of a cell', () => {
  const cells = [
    cell('unaligned-load'),
    cell('data-write', { window: 1, offset: 64n, argument: 3n }),
    cell('data-read', { argument: 4n }),
    cell('fence-visibility'),
    cell('stage1-self-check', { window: 1, offset: 4096n }),
    cell('data-write', { window: 9 }),
  ];

  function rung(request: Partial<GuestRequest>): Promise<Played> {
    return played({
      request: { cells, ...request },
      play: ({ ring }) => {
        for (const number of cells.keys()) ring(number);
        return DONE;
      },
    });
  }

  test('is to look for what was stored, or to store', async () => {
    const { run } = await rung({});
    // Nobody has stored anything.
    expect(run.hostChecks).toEqual([
      { cell: 1, firstBad: 0 },
      { cell: 3, firstBad: 0 },
    ]);
    expect(run.translations).toEqual([]);
  });

  test('is to have KVM translate, where that is asked for', async () => {
    expect((await rung({ translates: true })).run.translations).toEqual([{ cell: 4, attribute: TRANSLATED.attribute }]);
  });

  test('is none for registers', async () => {
    const registers = cells.map((one) => Object.assign({}, one, { registers: true }));
    const { run } = await rung({ cells: registers, translates: true });
    expect([run.hostChecks, run.translations]).toEqual([[], [{ cell: 4, attribute: TRANSLATED.attribute }]]);
  });
});

function refused(errno: ErrnoName, mte: boolean, request = ENABLE_CAP): Promise<unknown> {
  return played({ request: { mte }, refuse: { [request]: errno } });
}

describe('memory tagging', () => {
  test('is asked for only where it is wanted', async () => {
    expect((await played({ request: { mte: true } })).enabled).toHaveLength(1);
    expect((await played()).enabled).toEqual([]);
  });

  test('that KVM does not have is said, and no other refusal is taken for that', async () => {
    await expect(refused('EINVAL', true)).rejects.toMatchObject({
      code: 'E_NO_KVM',
      message: 'this KVM gives guests no MTE (KVM_CAP_ARM_MTE).',
      cause: { errno: ERRNO.EINVAL },
    });
    await expect(refused('EBUSY', true)).rejects.toMatchObject({ errno: ERRNO.EBUSY });
    await expect(refused('EINVAL', false, CREATE_VM)).rejects.toMatchObject({ errno: ERRNO.EINVAL });
  });
});

describe('a guest that is killed', () => {
  const trace =
    ' wcvmm-4711 [000] ..... 1.0: kvm_guest_fault: ipa 0x100001000, hsr 0x92000047, hxfar 0x1234, pc 0x40000080\n';

  test('is entered once more where that shows the place', async () => {
    const { run, entries, traced } = await played({ play: () => KILLED, request: { findsFault: true }, trace });
    expect(run.exit).toMatchObject({ kind: 'killed', fault: { gpa: 0x1_0000_1234n, access: 'write' } });
    expect(entries).toBe(2);
    expect([...traced.entries()].find(([path]) => path.endsWith('/set_event_pid'))?.[1]).toBe(String(THREAD));
    // The trace has ended with the run.
    expect([...traced.entries()].findLast(([path]) => path.endsWith('/enable'))?.[1]).toBe('0');
  });

  test('and of which KVM has said where, keeps that', async () => {
    const known = { ...KILLED, fault: { gpa: 5n } } as VcpuExit;
    const { run } = await played({ play: () => known, request: { findsFault: true }, trace });
    expect(run.exit).toEqual(known);
  });

  test('is not where nobody asks, nor where nothing traces', async () => {
    const silent = await played({ play: () => KILLED, trace });
    expect([silent.entries, silent.run.exit]).toEqual([1, KILLED]);
    const untraced = await played({ play: () => KILLED, request: { findsFault: true } });
    expect([untraced.entries, untraced.run.exit]).toEqual([1, KILLED]);
  });
});
