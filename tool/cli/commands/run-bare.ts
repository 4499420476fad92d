/** `wcvmm run IMAGE`: a bare-metal guest, with windows of a BAR. */
import { EXIT, WcvmmError } from '../../../common/errors.ts';
import { readWholeFile } from '../../../common/files.ts';
import { exchangeModule } from '../../verify/guest/exchange.ts';
import { describeExit } from '../../verify/guest/exit.ts';
import { bareMachine } from '../../verify/guest/places.ts';
import { watchDevice } from '../../../vmm/machines/killed.ts';
import type { KilledMachine } from '../../../vmm/machines/killed.ts';
import type { ElfImage } from '../../../vmm/boot/elf.ts';
import { runGuest } from '../../verify/guest/run.ts';
import type { GuestRun } from '../../verify/guest/run.ts';
import { parseGuest } from '../../verify/guest/image.ts';
import { ABI } from '../../verify/guest/abi.ts';
import { standardError, standardOutput } from '../../../common/output.ts';
import { BARE_MAP } from '../../../vmm/machines/bare.ts';
import type { KvmArchitecture } from '../../../vmm/kvm/arch/arch.ts';
import { requireArchitecture } from '../../../vmm/kvm/arch/index.ts';
import { readRange } from '../../verify/read-back/stage2.ts';
import type { VcpuExit } from '../../../vmm/kvm/exits.ts';
import { MainThreadRunner } from '../../../vmm/kvm/main-thread-runner.ts';
import type { VcpuRunner } from '../../../vmm/kvm/vcpu-runner.ts';
import { formatSize, parseSize } from '../../../vmm/memory/index.ts';
import { scoped } from '../../../common/scope.ts';
import { pageSize } from '../../../vmm/sys/libc.ts';
import type { Port } from '../../../vmm/sys/port.ts';
import { attachForDma, ramForDevices } from '../../../vmm/vfio/share.ts';
import { abortWhenLost } from '../../../vmm/vfio/notices.ts';
import { openWindows } from '../../../vmm/vfio/open-windows.ts';
import type { OpenWindow, OpenWindows } from '../../../vmm/vfio/open-windows.ts';
import { BARE_MEMORY } from './guest-memory.ts';
import { KEPT } from '../../verify/kept.ts';
import { openSandbox } from '../sandbox/sandbox.ts';
import type { OpenSandbox } from '../sandbox/sandbox.ts';
import { deviceOfSysfs, windowChoice } from './options.ts';
import type { WindowOptions } from './options.ts';

export interface BareOptions extends WindowOptions {
  /** Undefined: BARE_MEMORY. */
  readonly memory?: string;
  readonly dmaDevice: readonly string[];
  readonly json?: string;
}

/** Returns the exit code. */
export async function runBareGuest(path: string, options: BareOptions, signal: AbortSignal): Promise<number> {
  const arch = requireArchitecture();
  const image = parseGuest(await readImage(path), arch.name, ramLength(options));
  return scoped(async (ends) => {
    const { json } = options;
    const reports = json === undefined || json === '-' ? [] : [json];
    const { port, writeReport } = await openSandbox({
      sandbox: options.sandbox,
      kept: KEPT,
      reports,
      parses: false,
      device: deviceOfSysfs(options),
    });
    const scope = ends.inner();
    const thread = new MainThreadRunner([exchangeModule]);
    ends.defer(() => thread.close());
    const open = openWindows(port, scope, BARE_MAP, windowChoice(options), BigInt(pageSize()));
    const { pci } = open.source;
    const state = pci === null ? () => null : watchDevice(port, scope, pci.address);
    const passed = open.source.device === null ? [] : [open.source.device];
    const dmaDevices = attachForDma(port, scope, open.source.device, options.dmaDevice);
    const ran = await start(port, arch, thread, {
      image,
      open,
      options,
      signal: abortWhenLost(port, scope, passed, signal),
      onRam: ({ regions }) => {
        for (const { gpa, mapping } of regions) ramForDevices(port, dmaDevices, mapping, gpa);
      },
    });
    const machine = ran.exit.kind !== 'done' ? bareMachine(arch.name, open, state(), ramLength(options)) : null;
    return printResult(ran, open.windows, { json, machine, writeReport });
  });
}

interface Start {
  readonly image: ElfImage;
  readonly open: OpenWindows;
  readonly options: BareOptions;
  readonly signal: AbortSignal;
  readonly onRam: NonNullable<Parameters<typeof runGuest>[3]['onRam']>;
}

function start(
  port: Port,
  arch: KvmArchitecture,
  thread: VcpuRunner,
  { image, open, options, signal, onRam }: Start,
): Promise<GuestRun> {
  return runGuest(port, arch, thread, {
    image,
    windows: open.windows,
    stage1: [],
    findsFault: true,
    cells: [],
    ramLength: ramLength(options),
    timeoutMs: options.timeout * 1000,
    onConsole: (bytes) => standardOutput.writeBytes(bytes),
    signal,
    onRam,
  });
}

interface Printing {
  readonly json: string | undefined;
  /** Null where nothing went wrong. */
  readonly machine: KilledMachine | null;
  readonly writeReport: OpenSandbox['writeReport'];
}

async function printResult(
  { exit, stage2, windowExits, busLocks }: GuestRun,
  windows: readonly OpenWindow[],
  { json, machine, writeReport }: Printing,
): Promise<number> {
  const rows = windows.map(({ bar, offset, length, attribute, gpa, access }, index) => {
    const trapped = access === 'trapped' ? { exits: windowExits[index] ?? 0 } : null;
    const read = stage2.kind === 'read' ? readRange(stage2.ranges, gpa, length, pageSize()) : null;
    return {
      bar,
      offset: Number(offset),
      length: Number(length),
      attribute,
      gpa: `0x${gpa.toString(16)}`,
      stage2: read?.memoryType ?? null,
      blockSize: read?.blockSize ?? null,
      ...(trapped && { trapped }),
    };
  });
  for (const row of rows) {
    standardError.write(
      `bar${row.bar}:${formatSize(BigInt(row.offset))}+${formatSize(BigInt(row.length))} ${row.attribute} at gpa ${row.gpa}: ${whatBecameOf(row)}\n`,
    );
  }
  if (stage2.kind === 'unavailable') standardError.write(`stage 2: ${stage2.why}\n`);
  const locked = busLocks && busLocks.reduce((sum, { count }) => sum + count, 0);
  if (locked !== null && locked > 0) standardError.write(`bus locks: ${locked}\n`);
  if (json !== undefined) {
    const text = `${JSON.stringify({ schema: 'wcvmm.run/1', command: 'run', exit: exitInJson(exit), windows: rows, ...(locked !== null && { busLocks: locked }) }, null, 2)}\n`;
    if (json === '-') standardOutput.write(text);
    else await writeReport(json, text);
  }
  const failure = describeExit(exit, machine);
  if (failure !== null) throw new WcvmmError('E_GUEST_EXIT', failure);
  return EXIT.match;
}

function whatBecameOf({
  stage2,
  blockSize,
  trapped,
}: {
  stage2: string | null;
  blockSize: number | null;
  trapped?: { exits: number };
}): string {
  if (trapped !== undefined) return `trapped: no memslot, ${trapped.exits} accesses were exits`;
  return blockSize === null
    ? 'not touched by the guest'
    : `stage 2 ${stage2 ?? 'type not shown by this kernel'}, blocks of ${formatSize(BigInt(blockSize))}`;
}

/** JSON has no bigint. */
function exitInJson(exit: VcpuExit): object {
  const text = JSON.stringify(exit, (_name, value: unknown) =>
    typeof value === 'bigint' ? `0x${value.toString(16)}` : value,
  );
  return JSON.parse(text) as object;
}

/** From the guest ABI's least to where the windows begin. */
function ramLength({ memory = BARE_MEMORY }: BareOptions): bigint {
  const size = parseSize(memory);
  const most = BARE_MAP.windowBase - BARE_MAP.ramBase;
  if (size !== null && size >= BigInt(ABI.ramSize) && size <= most && size % BigInt(pageSize()) === 0n) return size;
  throw new WcvmmError(
    'E_USAGE',
    `--memory ${memory} is no size that a bare guest can have; expected whole pages from ${formatSize(BigInt(ABI.ramSize))} to ${formatSize(most)}, as in --memory 16M.`,
  );
}

async function readImage(path: string): Promise<Uint8Array> {
  try {
    return await readWholeFile(path);
  } catch (error) {
    throw new WcvmmError('E_GUEST_IMAGE', `the guest image ${path} cannot be read; expected an ELF executable.`, {
      cause: error,
    });
  }
}
