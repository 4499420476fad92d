/** Asks the questions of guests, and goes on in a new VM where a guest has died of one. */
import { randomBytes } from 'node:crypto';
import type { Stage1Type } from '../../memattr/index.ts';
import { WcvmmError } from '../../common/errors.ts';
import type { ElfImage } from '../../vmm/boot/elf.ts';
import { describeExit } from './guest/exit.ts';
import { decodeLog } from './guest/records.ts';
import type { GuestRecord } from './guest/records.ts';
import { runGuest } from './guest/run.ts';
import type { GuestRun } from './guest/run.ts';
import type { GuestWindow } from '../../vmm/memory/guest-window.ts';
import type { KvmArchitecture } from '../../vmm/kvm/arch/arch.ts';
import type { Stage2Dump } from './read-back/stage2.ts';
import type { VcpuThread } from '../../vmm/kvm/vcpu-thread.ts';
import type { VcpuExit } from '../../vmm/kvm/exits.ts';
import type { HostCheck } from './guest/exchange.ts';
import type { TakeOutput } from '../../vmm/devices/console-ring.ts';
import { ERRNO } from '../../vmm/sys/port.ts';
import type { Port } from '../../vmm/sys/port.ts';
import { cellOf, livesOf } from './questions.ts';
import type { Question } from './questions.ts';

/** What came of a question: the guest's record, or its VM's end. */
export type Answer = { readonly kind: 'record'; readonly record: GuestRecord } | { readonly kind: 'vm-killed' };

export interface Asked {
  readonly question: Question;
  readonly answer: Answer;
  /** That KVM told of while the question was under way; null: this KVM does not tell. */
  readonly busLocks: number | null;
}

export interface Interview {
  readonly asked: readonly Asked[];
  /** Of all lives together: their windows are at the same addresses, and one life alone may not have touched them all. */
  readonly stage2: Stage2Dump;
  /** Accesses that were exits, by window, of all lives together. */
  readonly windowExits: readonly number[];
}

export interface Interviewer {
  readonly port: Port;
  readonly arch: KvmArchitecture;
  readonly thread: VcpuThread;
  readonly image: ElfImage;
  readonly windows: readonly GuestWindow[];
  readonly mte?: boolean;
  readonly timeoutMs: number;
  readonly onConsole?: TakeOutput;
  readonly onLife?: (answered: number, total: number) => void;
  readonly signal?: AbortSignal;
}

export async function interview(interviewer: Interviewer, questions: readonly Question[]): Promise<Interview> {
  const asked: Asked[] = [];
  const dumps: Stage2Dump[] = [];
  let windowExits = interviewer.windows.map(() => 0);
  const waiting = [...livesOf(questions)];
  for (let life = waiting.shift(); life !== undefined; life = waiting.shift()) {
    const { answers, dump, exits } = await live(interviewer, life);
    asked.push(...answers);
    dumps.push(dump);
    windowExits = windowExits.map((count, window) => count + (exits[window] ?? 0));
    interviewer.onLife?.(asked.length, questions.length);
    if (answers.length < life.length) waiting.unshift(life.slice(answers.length));
  }
  return { asked, stage2: together(dumps), windowExits };
}

function together(dumps: readonly Stage2Dump[]): Stage2Dump {
  const unavailable = dumps.find((dump) => dump.kind === 'unavailable');
  return unavailable ?? { kind: 'read', ranges: dumps.flatMap((dump) => (dump.kind === 'read' ? dump.ranges : [])) };
}

async function live(
  interviewer: Interviewer,
  questions: readonly Question[],
): Promise<{ answers: readonly Asked[]; dump: Stage2Dump; exits: readonly number[] }> {
  const stage1Types = [...new Set(questions.map(({ stage1 }) => stage1))];
  const life = await runGuest(interviewer.port, interviewer.arch, interviewer.thread, {
    ...interviewer,
    stage1: stage1Types.map(({ encoding }) => encoding),
    cells: questions.map((question) => cellOf(question, stage1Types, freshSeed())),
  });
  return { answers: await answersOf(life, questions, stage1Types), dump: life.stage2, exits: life.windowExits };
}

function freshSeed(): bigint {
  return randomBytes(8).readBigUInt64LE();
}

/** What a guest can do to its VM that no fault tells it of: an access that stage 2 forbids, or that KVM cannot carry out for it. */
function isKilled(exit: VcpuExit): boolean {
  return exit.kind === 'not-emulated' || (exit.kind === 'killed' && exit.errno === ERRNO.EFAULT);
}

/** As many answers as the guest gave; a killed VM is the answer to the question that was under way. */
async function answersOf(
  life: GuestRun,
  questions: readonly Question[],
  stage1Types: readonly Stage1Type[],
): Promise<readonly Asked[]> {
  const { exit, hostChecks, log } = life;
  const failure = describeExit(exit);
  const killed = isKilled(exit);
  const busLocksOf = (asked: number): number | null =>
    life.busLocks && (life.busLocks.find(({ cell }) => cell === asked)?.count ?? 0);
  if (failure !== null && !killed) throw new WcvmmError('E_GUEST_EXIT', failure);
  const { records, running } = decodeLog(log, questions.length);
  const answers = records.flatMap((record, index): Asked[] => {
    const question = questions[index];
    return question === undefined
      ? []
      : [{ question, answer: answerOf(record, hostChecks), busLocks: busLocksOf(index) }];
  });
  if (killed) {
    const question = questions[records.length];
    if (question === undefined || running !== records.length) {
      throw new WcvmmError(
        'E_GUEST_RECORDS',
        `${failure} The guest's log does not say which of its ${questions.length} cells it was in (${records.length} answered, ${stage1Types.length} stage-1 types).`,
      );
    }
    return [...answers, { question, answer: { kind: 'vm-killed' }, busLocks: busLocksOf(records.length) }];
  }
  if (records.length < questions.length) {
    throw new WcvmmError(
      'E_GUEST_RECORDS',
      `the guest says that it is done and has answered ${records.length} of ${questions.length} cells; expected a record for each.`,
    );
  }
  return answers;
}

/** For a data-write cell the guest says only that it stored; the host's mapping says what arrived. */
function answerOf(record: GuestRecord, hostChecks: readonly HostCheck[]): Answer {
  if (record.outcome === 'bad-cell') {
    throw new WcvmmError(
      'E_GUEST_RECORDS',
      `the guest refused cell ${record.cell}: it knows no such probe, window or stage-1 type. Is the guest image of another version?`,
    );
  }
  const check = hostChecks.find(({ cell }) => cell === record.cell);
  const lost = record.outcome === 'ok' && check !== undefined && check.firstBad !== null;
  return { kind: 'record', record: lost ? { ...record, outcome: 'wrong-data' } : record };
}
