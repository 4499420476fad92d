import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { NOBODY } from '../vmm/sandbox/enter.ts';
import { sandbox } from '../tool/host/doctor/sandbox.ts';
import { filterProgram } from '../vmm/sandbox/filter.ts';
import { rulesetOf } from '../vmm/sandbox/landlock.ts';
import { ALLOWED, CONDITIONAL } from '../vmm/sandbox/syscalls.ts';
import { GUESTS } from './inside/machine-code.ts';
import { whyNoKvm } from './own-kvm.ts';

const why = whyNoKvm();
const skipped = why === null ? '' : ` (skipped: ${why})`;

/** What test/inside/sandboxed.ts prints. */
function tries(how: 'sandbox' | 'none'): Record<string, Record<string, string>> {
  const { stdout, stderr } = spawnSync(process.execPath, ['dist/test/inside/sandboxed.js', how], { encoding: 'utf8' });
  expect(stderr).toBe('');
  return JSON.parse(stdout) as Record<string, Record<string, string>>;
}

describe('a process whose guest runs', () => {
  it.skipIf(why !== null)(`can open nothing, start nothing and trace nobody, in any of its threads${skipped}`, () => {
    const { vcpu, main, pool } = tries('sandbox');
    const answers = [vcpu, main, pool].flatMap((attempts) => Object.values(attempts ?? {}));
    expect(answers).toHaveLength(8 + 8 + 5);
    expect([...new Set(answers)]).toEqual(['EPERM']);
  });

  it.skipIf(why !== null)(`could do all of that without the sandbox${skipped}`, () => {
    const { vcpu, main, pool } = tries('none');
    for (const attempts of [vcpu, main]) {
      expect(attempts).toMatchObject({
        '/etc/passwd': 'done',
        socket: 'done',
        program: 'done',
        'write a file': 'done',
      });
      expect(attempts?.['/etc/shadow']).toBe(process.geteuid?.() === 0 ? 'done' : 'EACCES');
    }
    // The vCPU's thread has it until the process ends.
    expect(vcpu?.['ptrace']).toBe('done');
    // Nobody listens there, but a socket there was.
    expect(pool).toMatchObject({ '/etc/passwd': 'done', socket: 'ECONNREFUSED' });
  });
});

const ENTRY = 0x4008_0000n;

/** An ELF executable of a few bytes, which says one letter and does nothing for ever. */
function spinningGuest(): Uint8Array {
  const image = new Uint8Array(0x100);
  const view = new DataView(image.buffer);
  image.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]);
  view.setUint16(16, 2, true);
  view.setUint16(18, process.arch === 'arm64' ? 183 : 62, true);
  view.setUint32(20, 1, true);
  view.setBigUint64(24, ENTRY, true);
  view.setBigUint64(32, 64n, true);
  for (const [at, value] of [
    [52, 64],
    [54, 56],
    [56, 1],
  ] as const)
    view.setUint16(at, value, true);
  // One segment: readable, writable and executable.
  view.setUint32(64, 1, true);
  view.setUint32(68, 7, true);
  const length = BigInt(GUESTS.printAndSpin.length);
  for (const [at, value] of [0xc0n, ENTRY, ENTRY, length, length, 4n].entries())
    view.setBigUint64(72 + 8 * at, value, true);
  image.set(GUESTS.printAndSpin, 0xc0);
  return image;
}

/** Of each thread of a process: the first number of a line of its status, without repetition. */
function ofThreads(pid: number, name: string): string[] {
  const found = readdirSync(`/proc/${pid}/task`).map((thread) => {
    const text = readFileSync(`/proc/${pid}/task/${thread}/status`, 'utf8');
    return new RegExp(`^${name}:\\s*(\\S+)`, 'm').exec(text)?.[1] ?? '';
  });
  return [...new Set(found)];
}

/** Calls `look` with wcvmm's process once its guest runs. */
async function whileRunning(args: readonly string[], look: (pid: number) => void): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), 'wcvmm-test-'));
  try {
    const guest = join(folder, 'guest.elf');
    writeFileSync(guest, spinningGuest());
    const child = spawn(process.execPath, ['dist/tool/cli/cli.js', 'run', '--source', 'memory', ...args, guest], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let said = '';
    child.stderr.on('data', (chunk: Buffer) => (said += chunk.toString()));
    const ended = once(child, 'exit');
    await Promise.race([once(child.stdout, 'data'), ended]);
    look(child.pid ?? 0);
    child.kill('SIGINT');
    await ended;
    return said;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

const OF_THREADS = ['Uid', 'Gid', 'CapPrm', 'CapEff', 'NoNewPrivs', 'Seccomp'] as const;
const NONE = '0000000000000000';

describe('wcvmm run', () => {
  it.skipIf(why !== null)(`has no rights in any thread once its guest runs${skipped}`, async () => {
    const said = await whileRunning([], (pid) => {
      const found = Object.fromEntries(OF_THREADS.map((name) => [name, ofThreads(pid, name)]));
      const user = String(process.geteuid?.() === 0 ? NOBODY : process.geteuid?.());
      expect(found).toMatchObject({ Uid: [user], CapPrm: [NONE], CapEff: [NONE], NoNewPrivs: ['1'], Seccomp: ['2'] });
    });
    expect(said).not.toContain('--no-sandbox');
  });

  it.skipIf(why !== null)(`keeps them with --no-sandbox, and says so${skipped}`, async () => {
    const said = await whileRunning(['--no-sandbox'], (pid) => {
      expect(ofThreads(pid, 'Seccomp')).toEqual(ofThreads(process.pid, 'Seccomp'));
      expect(ofThreads(pid, 'CapEff')).toEqual(ofThreads(process.pid, 'CapEff'));
    });
    expect(said).toContain('wcvmm: --no-sandbox: guests run in a process with all rights');
  });

  it.skipIf(why !== null)(`writes every report all the same, and leaves nothing else${skipped}`, () => {
    const folder = mkdtempSync(join(tmpdir(), 'wcvmm-test-'));
    try {
      const formats = ['json', 'junit', 'tap', 'html'];
      writeFileSync(join(folder, 'junit'), 'the last one', { mode: 0o640 });
      const options = formats.flatMap((format) => [`--${format}`, join(folder, format)]);
      const args = ['dist/tool/cli/cli.js', 'verify', '--source', 'memory', ...options];
      const { status, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8' });
      expect(stderr).not.toContain('Error');
      expect(status).not.toBe(2);
      expect(readdirSync(folder).toSorted()).toEqual(formats.toSorted());
      expect(readFileSync(join(folder, 'junit'), 'utf8')).toContain('</testsuites>');
      expect(statSync(join(folder, 'junit')).mode & 0o777).toBe(0o640);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});

/** [system call, which of them is made to fail]: the first of some only asks what the kernel has. */
const GIVING_UP = [
  ['prctl', 1, 'PR_SET_NO_NEW_PRIVS'],
  ['landlock_create_ruleset', 2, ''],
  ['landlock_restrict_self', 1, ''],
  ['setgroups', 1, ''],
  ['setresgid', 1, ''],
  ['setresuid', 1, ''],
  ['capset', 1, ''],
  ['seccomp', 2, ''],
  ['setitimer', 1, ''],
] as const;
const noStrace = why ?? (process.geteuid?.() === 0 ? missingStrace() : 'only root has all of it to give up');

function missingStrace(): string | null {
  return spawnSync('strace', ['-V']).status === 0 ? null : 'there is no strace';
}

describe('a right that cannot be given up', () => {
  it.skipIf(noStrace !== null).each(GIVING_UP)(
    `keeps the guest from running: %s${noStrace === null ? '' : ` (skipped: ${noStrace})`}`,
    (call, number, more) => {
      const folder = mkdtempSync(join(tmpdir(), 'wcvmm-test-'));
      try {
        const guest = join(folder, 'guest.elf');
        writeFileSync(guest, spinningGuest());
        const faults = ['-e', `trace=${call}`, '-e', `inject=${call}:error=EPERM:when=${number}`];
        const run = [process.execPath, 'dist/tool/cli/cli.js', 'run', '--source', 'memory', '--timeout', '60', guest];
        const { status, stdout, stderr } = spawnSync('strace', ['-f', '-qq', '-o', '/dev/null', ...faults, ...run], {
          encoding: 'utf8',
        });
        expect([status, stdout]).toEqual([2, '']);
        expect(stderr).toMatch(new RegExp(`^wcvmm: E_SYSCALL: .*\\(${call}${more === '' ? '' : ` ${more}`}: EPERM\\)`));
        expect(stderr.trim().split('\n')).toHaveLength(1);
      } finally {
        rmSync(folder, { recursive: true });
      }
    },
  );
});

/** What test/inside/restarted.ts prints, line by line. */
function restarted(...args: readonly string[]): readonly string[] {
  const command = ['dist/test/inside/restarted.js', ...args];
  const { stdout, stderr } = spawnSync(process.execPath, command, { encoding: 'utf8' });
  expect(stderr).toBe('');
  return stdout.trim().split('\n');
}

describe('a process that has an io_uring', () => {
  it.skipIf(why !== null)(
    `begins anew, once, as the same process with the same arguments, and can be confined${skipped}`,
    () => {
      const [first, second, found = '{}'] = restarted('ring', 'a b', '');
      expect(first).toMatch(/^begins \d+$/);
      expect(second).toBe(first);
      const outside = restarted('none').at(-1) ?? '{}';
      const { before } = JSON.parse(outside) as { before: number };
      expect(JSON.parse(found)).toEqual({ argv: ['ring', 'a b', ''], before: before + 1, refusal: 38 });
    },
  );

  it.skipIf(why !== null)(`that has none goes on${skipped}`, () => {
    expect(restarted('none')).toHaveLength(2);
  });
});

describe('the filter of system calls', () => {
  it.each([
    ['gcc', 0],
    ['aarch64-linux-gnu-gcc', 1],
  ] as const)("has the numbers of the kernel's headers: %s", (compiler, column) => {
    const all = Object.entries({ ...ALLOWED, ...CONDITIONAL });
    const lines = all.map(([name]) => `#ifdef __NR_${name}\nwcvmm ${name} __NR_${name}\n#endif`);
    const { stdout } = spawnSync(compiler, ['-E', '-P', '-'], {
      input: `#include <sys/syscall.h>\n${lines.join('\n')}\n`,
      encoding: 'utf8',
    });
    const numbers = new Map(
      [...stdout.matchAll(/wcvmm (\w+) (\d+)/g)].map(([, name, number]) => [name, Number(number)]),
    );
    expect(numbers.size).toBeGreaterThan(80);
    expect(Object.fromEntries(all.map(([name, found]) => [name, found[column]]))).toEqual(
      Object.fromEntries(all.map(([name]) => [name, numbers.get(name) ?? null])),
    );
  });

  it.each(['x64', 'arm64'] as const)(
    'is a program whose jumps stay inside and which ends by refusing: %s',
    (machine) => {
      const program = filterProgram(machine, 1234);
      const view = new DataView(program.buffer);
      const count = program.length / 8;
      for (let at = 0; at < count; at += 1) {
        const isJump = (view.getUint16(8 * at, true) & 7) === 5;
        const furthest = isJump ? Math.max(view.getUint8(8 * at + 2), view.getUint8(8 * at + 3)) : 0;
        expect(at + 1 + furthest).toBeLessThan(at === count - 1 ? count + 1 : count);
      }
      expect(view.getUint32(8 * (count - 1) + 4, true)).toBe(0x0005_0001);
    },
  );
});

describe('the Landlock ruleset', () => {
  it.each([
    [1, 8, 0],
    [4, 16, 0],
    [7, 24, 0],
    [8, 24, 8],
  ])('is as long as ABI %i has it: %i bytes, flags %i', (abi, length, flags) => {
    const ruleset = rulesetOf(abi);
    expect(ruleset?.attributes.length).toBe(length);
    expect(ruleset?.flags).toBe(flags);
  });

  it('is none where the kernel has no Landlock', () => {
    expect(rulesetOf(0)).toBeNull();
  });
});

describe('doctor', () => {
  it.each([
    [{ seccomp: true, landlockAbi: 8, isRoot: true }, 'ok', /nobody.*filter of system calls, Landlock \(ABI 8\)$/],
    [{ seccomp: true, landlockAbi: 7, isRoot: false }, 'ok', /on the main thread$/],
    [{ seccomp: true, landlockAbi: 0, isRoot: true }, 'note', /no Landlock/],
    [{ seccomp: false, landlockAbi: 0, isRoot: true }, 'missing', /sockets can still be made/],
  ] as const)('says what the sandbox has: %j', (found, state, detail) => {
    expect(sandbox(found)).toMatchObject({
      id: 'sandbox',
      state,
      detail: expect.stringMatching(detail),
      blocks: false,
    });
  });
});

function verifyMemory(args: readonly string[]): { status: number | null; stderr: string } {
  return spawnSync(process.execPath, ['dist/tool/cli/cli.js', 'verify', '--source', 'memory', ...args], {
    encoding: 'utf8',
  });
}

describe('files that others read', () => {
  it.skipIf(why !== null)(
    `are written after guests ran, and where one cannot be opened nothing is left${skipped}`,
    () => {
      const folder = mkdtempSync(join(tmpdir(), 'wcvmm-test-'));
      try {
        expect(verifyMemory(['--prom', join(folder, 'wcvmm.prom')]).stderr).not.toContain('E_');
        expect(readFileSync(join(folder, 'wcvmm.prom'), 'utf8')).toContain('wcvmm_');
        mkdirSync(join(folder, 'folder'));
        const args = ['--json', join(folder, 'report.json'), '--tap', join(folder, 'folder')];
        const { status, stderr } = verifyMemory(args);
        expect([status, stderr]).toEqual([2, expect.stringContaining('E_REPORT')]);
        expect(readdirSync(folder)).toEqual(['folder', 'wcvmm.prom']);
      } finally {
        rmSync(folder, { recursive: true });
      }
    },
  );
});
