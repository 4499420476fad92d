/** seccomp's program (Documentation/userspace-api/seccomp_filter.rst): classic BPF over struct seccomp_data. */
import { PERF_EVENT_IOC_DISABLE, PERF_EVENT_IOC_ENABLE } from '../sys/perf.ts';
import { SYS_IO_URING_SETUP } from '../sys/sandbox-calls.ts';
import { ALLOWED, CONDITIONAL } from './syscalls.ts';

const ALLOW = 0x7fff_0000;
const refuse = (errno: number): number => 0x0005_0000 | errno;
const [EPERM, ENOSYS] = [1, 38];

/** AUDIT_ARCH_*, and the column of syscalls.ts. */
const MACHINES = {
  x64: { audit: 0xc000_003e, column: 0 },
  arm64: { audit: 0xc000_00b7, column: 1 },
} as const;

export type FilterMachine = keyof typeof MACHINES;

/** Numbers of x86's other ABI, x32, begin here. */
const X32 = 0x4000_0000;

/** The low word of argument `argument`, masked, is `value`; every test of one of the lists holds. */
interface Test {
  readonly argument: number;
  readonly mask?: number;
  readonly value: number;
  /** The high word instead. */
  readonly high?: true;
}
type Alternatives = readonly (readonly Test[])[];

const CLONE_THREAD = 0x1_0000;
const AT_EMPTY_PATH = 0x1000;
const TYPE_OF_IOCTL = 0xff00;

function command(...values: readonly number[]): Alternatives {
  return values.map((value) => [{ argument: 1, value }]);
}

/**
 * KVM's, VFIO's and IOMMUFD's; of a terminal: its settings and size; of a stream: how much there is, and not to block; of a perf event
 * that was opened before: on and off.
 */
const IOCTLS: Alternatives = [
  [{ argument: 1, value: 0xae80 }],
  [{ argument: 1, mask: TYPE_OF_IOCTL, value: 0xae00 }],
  [{ argument: 1, mask: TYPE_OF_IOCTL, value: 0x3b00 }],
  ...command(0x5401, 0x5402, 0x5403, 0x5404, 0x5413, 0x541b, 0x5421, 0x5450, 0x5451),
  ...command(PERF_EVENT_IOC_ENABLE, PERF_EVENT_IOC_DISABLE),
];

/** PR_SET_NAME, PR_GET_NAME, PR_GET_DUMPABLE, PR_GET_NO_NEW_PRIVS, PR_SET_VMA. */
const PRCTLS: Alternatives = [15, 16, 3, 39, 0x5356_4d41].map((value) => [{ argument: 0, value }]);

type Rule = { readonly when: Alternatives } | { readonly errno: number };

/** Of an open file, and of none by name. */
function ofAFile(flags: number): Alternatives {
  return [[{ argument: flags, mask: AT_EMPTY_PATH, value: AT_EMPTY_PATH }]];
}

function rules(pid: number): Readonly<Record<keyof typeof CONDITIONAL, Rule>> {
  const own: Alternatives = [[{ argument: 0, value: pid }]];
  return {
    ioctl: { when: IOCTLS },
    // Threads, and no process.
    clone: { when: [[{ argument: 0, mask: CLONE_THREAD, value: CLONE_THREAD }]] },
    // Its flags are in memory, where no filter can look; glibc then takes clone.
    clone3: { errno: ENOSYS },
    tgkill: { when: own },
    kill: { when: own },
    prctl: { when: PRCTLS },
    // To ask for a limit of this process, and to set none.
    prlimit64: {
      when: [
        [
          { argument: 0, value: 0 },
          { argument: 2, value: 0 },
          { argument: 2, value: 0, high: true },
        ],
      ],
    },
    newfstatat: { when: ofAFile(3) },
    statx: { when: ofAFile(2) },
  };
}

/** struct sock_filter: code, jumps when true and when false, constant. */
type Instruction = readonly [number, number, number, number];
const load = (offset: number): Instruction => [0x20, 0, 0, offset];
const and = (mask: number): Instruction => [0x54, 0, 0, mask];
const ifEqual = (value: number, yes: number, no: number): Instruction => [0x15, yes, no, value];
const ifAtLeast = (value: number, yes: number, no: number): Instruction => [0x35, yes, no, value];
const give = (action: number): Instruction => [0x06, 0, 0, action];

/** Offsets in struct seccomp_data. */
const [NUMBER, AUDIT_ARCH, ARGUMENTS] = [0, 4, 16];

/** Goes on after itself where a test fails. */
function alternative(tests: readonly Test[]): readonly Instruction[] {
  const sizes = tests.map(({ mask }) => (mask === undefined ? 2 : 3));
  const whole = sizes.reduce((sum, size) => sum + size, 1);
  let at = 0;
  const code = tests.flatMap(({ argument, mask, value, high }, index): readonly Instruction[] => {
    at += sizes[index] ?? 0;
    const word = load(ARGUMENTS + 8 * argument + (high ? 4 : 0));
    return [word, ...(mask === undefined ? [] : [and(mask)]), ifEqual(value, 0, whole - at)];
  });
  return [...code, give(ALLOW)];
}

function conditional(number: number, rule: Rule): readonly Instruction[] {
  const code = 'errno' in rule ? [give(refuse(rule.errno))] : [...rule.when.flatMap(alternative), give(refuse(EPERM))];
  return [ifEqual(number, 0, code.length), ...code];
}

/** Refuses to make an io_uring, as a kernel without it does, and nothing else. */
export function noIoUringProgram(machine: FilterMachine): Uint8Array {
  return assemble([
    load(AUDIT_ARCH),
    ifEqual(MACHINES[machine].audit, 0, 3),
    load(NUMBER),
    ifEqual(SYS_IO_URING_SETUP, 0, 1),
    give(refuse(ENOSYS)),
    give(ALLOW),
  ]);
}

/** @param pid the process that may be signalled: this one */
export function filterProgram(machine: FilterMachine, pid: number): Uint8Array {
  const { audit, column } = MACHINES[machine];
  const byName = rules(pid);
  // ioctl first: KVM_RUN is what a VMM asks for all the time.
  const code: readonly Instruction[] = [
    load(AUDIT_ARCH),
    ifEqual(audit, 1, 0),
    give(refuse(EPERM)),
    load(NUMBER),
    ifAtLeast(X32, 0, 1),
    give(refuse(EPERM)),
    ...Object.entries(CONDITIONAL).flatMap(([name, numbers]) => {
      const number = numbers[column];
      return number === null ? [] : conditional(number, byName[name as keyof typeof CONDITIONAL]);
    }),
    ...Object.values(ALLOWED).flatMap((numbers): readonly Instruction[] => {
      const number = numbers[column];
      return number === null ? [] : [ifEqual(number, 0, 1), give(ALLOW)];
    }),
    give(refuse(EPERM)),
  ];
  return assemble(code);
}

function assemble(code: readonly Instruction[]): Uint8Array {
  const view = new DataView(new ArrayBuffer(8 * code.length));
  for (const [index, [operation, yes, no, constant]] of code.entries()) {
    view.setUint16(8 * index, operation, true);
    view.setUint8(8 * index + 2, yes);
    view.setUint8(8 * index + 3, no);
    view.setUint32(8 * index + 4, constant, true);
  }
  return new Uint8Array(view.buffer);
}
