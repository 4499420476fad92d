/** The sandbox where the kernel is the testbed's: on both architectures the same attempts as on this machine's own KVM, with and without it. */
import { expect, it } from 'vitest';
import { inTestbed } from './support.ts';

/** Seconds: Node starts four times in the instance. */
const SLOW = 300;

type Attempts = Readonly<Record<string, string>>;

interface Tried {
  readonly sandbox: { readonly user: number; readonly seccomp: boolean; readonly landlock: string | null } | null;
  readonly vcpu: Attempts;
  readonly main: Attempts;
  readonly pool: Attempts;
}

const SCRIPT = '/wcvmm/dist/test/inside/sandboxed.js';
const COMMANDS = `
mkdir -p /etc; echo root >/etc/shadow; echo root >/etc/passwd
node ${SCRIPT} none
node ${SCRIPT} sandbox
wcvmm doctor --json
# Node 22 makes an io_uring where it may, and could not end in the sandbox with one.
echo 0 >/proc/sys/kernel/io_uring_disabled
wcvmm verify --source memory >/dev/null; echo "verify $?"`;

it.each(['arm64', 'x86-amd'] as const)(
  'a VMM whose guest runs can open no file, no socket and no program, and trace nobody: %s',
  async (arch) => {
    const { stdout, stderr } = await inTestbed({
      arch,
      timeout: SLOW,
      run: { kind: 'program', args: ['sh', '-c', COMMANDS] },
    });
    const [before, after] = stdout
      .split('\n')
      .flatMap((line) => (line.startsWith('{"') ? [JSON.parse(line) as Tried] : []));
    if (before === undefined || after === undefined) throw new Error(`the script ended early:\n${stdout}\n${stderr}`);
    // It could, but for the sandbox: that these kernels have no sockets of that family (EAFNOSUPPORT) says that they were asked.
    for (const attempts of [before.vcpu, before.main])
      expect(attempts).toMatchObject({
        '/dev/mem': 'done',
        '/etc/shadow': 'done',
        socket: expect.stringMatching(/^(done|errno 97)$/),
        program: 'done',
      });
    expect(before.vcpu['ptrace']).toBe('done');
    expect(after.sandbox).toMatchObject({ user: 65_534, seccomp: true, landlock: expect.any(String) });
    const answers = [after.vcpu, after.main, after.pool].flatMap((attempts) => Object.values(attempts));
    expect(answers).toHaveLength(8 + 8 + 5);
    expect([...new Set(answers)]).toEqual(['EPERM']);
    expect(stdout).toMatch(/^verify [03]$/m);
    expect(stdout).toMatch(/"id": "sandbox",\s+"state": "ok"/);
  },
  SLOW * 1000,
);
