import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { cacheRoot } from '../common/cache.ts';
import { make } from '../testbed/kernel/make.ts';
import { readSeries } from '../testbed/kernel/series.ts';
import { fetchSource, sourceAtHand } from '../testbed/kernel/source.ts';
import { KernelTree } from '../testbed/kernel/tree.ts';
import { withLock } from '../common/lock.ts';
import { machineOf } from '../testbed/machine/index.ts';
import { projectRoot } from '../common/paths.ts';
import { silent } from '../common/progress.ts';
import { appEntries } from '../testbed/rootfs/app.ts';

const variable = 'WCVMM_TEST_DEB';
const never = new AbortController().signal;

/** What the testbed's x86 kernel has and an instance's may not have, or the other way round. */
const otherwise = `# CONFIG_VFIO_DEVICE_CDEV is not set
CONFIG_DEBUG_INFO_DWARF5=y
`;

/** The whole configuration that an instance's /boot would have. */
async function instanceConfig(path: string): Promise<void> {
  const overridden = new Set([...otherwise.matchAll(/CONFIG_\w+/g)].map(([option]) => option));
  const base = readFileSync(join(projectRoot, 'kernel-patches/configs/x86.config'), 'utf8').split('\n');
  writeFileSync(
    `${path}.all`,
    `${base.filter((line) => !overridden.has(/CONFIG_\w+/.exec(line)?.[0] ?? '')).join('\n')}\n${otherwise}`,
  );
  await withLock(join(cacheRoot(), 'locks/kernel-deb-x86'), async () => {
    const tree = new KernelTree(join(cacheRoot(), 'kernel-deb/x86'), 'all');
    await tree.bringTo(
      (await sourceAtHand(undefined)) ?? (await fetchSource(silent, never)),
      await readSeries(),
      silent,
      never,
    );
    await make({ tree: tree.path, arch: 'x86', crossCompile: '', env: {}, signal: never }, [
      `KCONFIG_CONFIG=${path}`,
      `KCONFIG_ALLCONFIG=${path}.all`,
      'allnoconfig',
    ]);
  });
}

async function writeApp(folder: string): Promise<void> {
  for (const entry of await appEntries(machineOf('x86-amd'), null, silent, never)) {
    const path = join(folder, entry.path.replace(/^wcvmm/, '.'));
    if (entry.kind === 'directory') mkdirSync(path, { recursive: true });
    if (entry.kind !== 'file') continue;
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, entry.data, { mode: entry.mode });
  }
}

function run(program: string, args: readonly string[]): { status: number | null; stdout: string; stderr: string } {
  return spawnSync(program, args, { encoding: 'utf8', maxBuffer: 1 << 28 });
}

/** Switches on and waits for power-off. Returns what the serial console said. */
function boot(disk: string): string {
  const machine = [
    '-M',
    'q35,kernel-irqchip=split',
    '-cpu',
    'max,+svm,+npt',
    '-smp',
    '2',
    '-accel',
    'tcg,thread=single',
    '-m',
    '1024M',
  ];
  const quiet = [
    '-nodefaults',
    '-display',
    'none',
    '-monitor',
    'none',
    '-nic',
    'none',
    '-no-reboot',
    '-serial',
    'stdio',
  ];
  const device = [
    '-device',
    'intel-iommu,intremap=on',
    '-object',
    'memory-backend-ram,id=bar,size=4M,share=on',
    '-device',
    'pcie-root-port,id=port1,bus=pcie.0,addr=1,chassis=1',
    '-device',
    'ivshmem-plain,memdev=bar,bus=port1',
  ];
  const { stdout, stderr } = run('timeout', [
    '900',
    'qemu-system-x86_64',
    ...machine,
    ...quiet,
    ...device,
    '-drive',
    `file=${disk},format=raw,if=none,id=disk`,
    '-device',
    'virtio-blk-pci,drive=disk,bootindex=1',
  ]);
  return `${stdout}${stderr}`.replaceAll('\r', '');
}

const why = ((): string | null => {
  if (process.env[variable] !== '1') return `it compiles a kernel; ${variable}=1 runs it`;
  if (process.arch !== 'x64' || process.getuid?.() !== 0) return 'it needs root on x86';
  return existsSync('/usr/sbin/debootstrap') ? null : 'it needs debootstrap';
})();

describe.skipIf(why !== null)(
  `a kernel package on a machine of its own${why === null ? '' : ` (skipped: ${why})`}`,
  () => {
    let folder: string;
    afterAll(() => rmSync(folder, { recursive: true, force: true }));
    let built: ReturnType<typeof run>;
    let console_ = '';
    const said = (command: string): string =>
      console_.split('### ').find((part) => part.startsWith(`${command} `)) ?? `${command} was not run:\n${console_}`;

    beforeAll(async () => {
      folder = mkdtempSync(join(tmpdir(), 'wcvmm-deb-'));
      const config = join(folder, 'config');
      await instanceConfig(config);
      built = run(process.execPath, [
        join(projectRoot, 'dist/tool/cli/cli.js'),
        'kernel',
        'deb',
        '--arch',
        'x86',
        '--config',
        config,
        '--output',
        join(folder, 'packages'),
      ]);
      if (built.status !== 0) throw new Error(built.stderr);
      await writeApp(join(folder, 'app'));
      const made = run(join(projectRoot, 'test/kernel-deb/make-disk'), [folder, ...built.stdout.trim().split('\n')]);
      if (made.status !== 0) throw new Error(`${made.stdout}${made.stderr}`);
      console_ = boot(join(folder, 'disk.img'));
    });

    test('is built from a configuration that lacks what wcvmm needs', () => {
      expect(built.stderr).toContain('CONFIG_VFIO_DEVICE_CDEV: n -> y (wcvmm needs it)');
      expect(built.stderr).toContain('CONFIG_DEBUG_INFO_DWARF5: y -> n');
      expect(built.stdout).toMatch(/linux-image-7\.3\.\d+-wcvmm_\S+_amd64\.deb\n/);
    });

    test('boots from the disk that dpkg installed it to', () => {
      expect(said('uname')).toMatch(/^7\.3\.\d+-wcvmm$/m);
      expect(said('dpkg-query')).toMatch(/linux-image-7\.3\.\d+-wcvmm\s/);
    });

    test('gives cookies, with which every check matches', () => {
      expect(said('wcvmm doctor')).toMatch(/would run here\n\[0\]/);
      expect(said('wcvmm verify')).toMatch(/✓ programmed [^✗]*\n\[0\]/);
    });
  },
);
