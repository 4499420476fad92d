/**
 * How long a Linux guest with a passed-through device takes to its /init, in emulated instances: by the guest's own clock, beside
 * an instance's own boot with the same kernel; and by the instance's clock from the start of `wcvmm run`. Seconds there are no
 * hardware's. kvmtool in the same arm64 instance, on a busy machine: 1.6 s with the testbed's kernel, 7.2 s with Debian's.
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { debianKernel, testbedKernel } from '../../testbed/index.ts';
import type { Figure } from '../figure.ts';
import { CLI, outputOf } from '../spend.ts';

/**
 * Prints the guest's clock at its /init, which needs no console to tell; then the instance's own at its /init, in microseconds by
 * its kernel's log, whose end is waited for until a second has passed.
 */
const CLOCK = `wcvmm verify --guest linux --kernel "$1" -d 0000:01:00.0 --timeout 240 --json - | grep -o '"initSeconds":[0-9.]*'
timeout 1 cat /dev/kmsg | sed -n 's/^[0-9]*,[0-9]*,\\([0-9]*\\),.*Run \\/init .*/instance \\1/p'
`;

/** Prints the instance's clock before `wcvmm run`, and when the guest's /init says its first word. */
const WALL = `read -r before _ </proc/uptime
wcvmm run --kernel "$1" --initrd "$2" --append 'quiet panic=-1' -d 0000:01:00.0 --timeout 240 | while read -r line; do
	case $line in *"/init after"*)
		read -r after _ </proc/uptime
		echo "wall $before $after"
	esac
done
`;

const KERNELS = {
  testbed: { title: "the testbed's kernel", image: testbedKernel },
  debian: { title: "Debian's kernel", image: async (testbed: string) => (await debianKernel({ testbed })).kernel },
} as const;

type KernelName = keyof typeof KERNELS;

/** What the script says, of which `wanted` finds the numbers. */
async function inside(testbed: string, kernel: KernelName, script: string, wanted: RegExp): Promise<readonly number[]> {
  const image = await KERNELS[kernel].image(testbed);
  const { initrd } = await debianKernel({ testbed });
  const folder = await mkdtemp(join(tmpdir(), 'wcvmm-bench-'));
  try {
    const file = join(folder, 'boot.sh');
    await writeFile(file, script);
    const inputs = [file, image, initrd].flatMap((input) => ['--input', input]);
    // What else an instance of x86-amd does to Linux guests: docs/usage.md.
    const processors = testbed === 'x86-amd' ? ['--processors', '1'] : [];
    const instance = ['testbed', 'exec', '--arch', testbed, ...processors, '--timeout', '360', ...inputs];
    const exec = [...instance, '--', 'sh', 'boot.sh'];
    const said = await outputOf(process.execPath, [CLI, ...exec, basename(image), basename(initrd)]);
    const found = wanted.exec(said);
    if (found === null) throw new Error(`no Linux guest came to its /init:\n${said}`);
    return found.slice(1).map(Number);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** The emulators of the instances, with nothing but a console. */
const EMULATORS: Readonly<Record<string, readonly string[]>> = {
  arm64:
    'qemu-system-aarch64 -M virt,virtualization=on,gic-version=3 -cpu max,pauth-impdef=on -accel tcg,thread=multi'.split(
      ' ',
    ),
  'x86-amd': 'qemu-system-x86_64 -M q35 -cpu max -accel tcg,thread=single'.split(' '),
};
const PLAIN = '-m 1024M -nodefaults -display none -monitor none -nic none -no-reboot -serial stdio'.split(' ');
const CONSOLES: Readonly<Record<string, string>> = { arm64: 'ttyAMA0', 'x86-amd': 'ttyS0' };

/** Seconds of Debian's kernel's own clock at its /init, in an instance of its own. */
async function debianInstance(testbed: string): Promise<number> {
  const { kernel, initrd } = await debianKernel({ testbed });
  const [program = '', ...machine] = EMULATORS[testbed] ?? [];
  const boot = ['-kernel', kernel, '-initrd', initrd, '-append', `console=${CONSOLES[testbed]} quiet panic=-1`];
  const said = await outputOf(program, [...machine, ...PLAIN, ...boot]);
  const found = /init after ([\d.]+) s/.exec(said);
  if (found === null) throw new Error(`Debian's kernel did not come to its /init:\n${said}`);
  return Number(found[1]);
}

function clock(testbed: string, kernel: KernelName): Figure {
  const isSame = kernel === 'testbed';
  return {
    name: `linux-clock-${kernel}-${testbed}`,
    title: `a Linux guest's clock at /init, ${KERNELS[kernel].title}, ${testbed}`,
    floor: isSame ? "the instance's own" : "an instance's own",
    unit: 's',
    goal: { kind: 'ratio', most: 1.5 },
    cost: 'minutes',
    runs: 1,
    sample: async () => {
      const found = await inside(testbed, kernel, CLOCK, /"initSeconds":([\d.]+)\s+instance (\d+)/);
      const [figure = Number.NaN, instance = Number.NaN] = found;
      return { figure, floor: isSame ? instance / 1e6 : await debianInstance(testbed) };
    },
  };
}

function wall(testbed: string, kernel: KernelName): Figure {
  return {
    name: `linux-wall-${testbed}`,
    title: `from wcvmm run to a Linux guest's /init, ${KERNELS[kernel].title}, ${testbed}`,
    floor: '',
    unit: 's',
    goal: { kind: 'none' },
    cost: 'minutes',
    runs: 1,
    sample: async () => {
      const [before = Number.NaN, after = Number.NaN] = await inside(testbed, kernel, WALL, /wall ([\d.]+) ([\d.]+)/);
      return { figure: after - before, floor: null };
    },
  };
}

export const linuxBoots: readonly Figure[] = [
  clock('arm64', 'testbed'),
  clock('arm64', 'debian'),
  clock('x86-amd', 'testbed'),
  clock('x86-amd', 'debian'),
  wall('arm64', 'testbed'),
  // Programs of the testbed's own x86 kernel may not have the serial port.
  wall('x86-amd', 'debian'),
];
