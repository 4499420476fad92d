import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { projectRoot } from '../common/paths.ts';

interface Manifest {
  readonly version: string;
  readonly man: readonly string[];
}

/** Small enough for one boot, and nothing of it is left to the machine. */
const VERIFY = ['verify', '--testbed', 'arm64', '-m', 'bar2:0-64K=device', '-m', 'bar2:64K-128K=wc'] as const;

/** What each entry point is for, by a program that uses it. A thing that is exported can be used, with types that are exported. */
const TYPED = `
import { ERROR_CODES, Scope, WcvmmError, libcPort, mapBar, openDevice, parseMap } from 'wcvmm';
import type { Attribute, BarRange, BarSource, ErrorCode, MapRequest, Mapping, OpenDeviceOptions, Port } from 'wcvmm';
import { BARE_MAP, Bus, Memslots, VcpuThread, addVcpu, allocateRam, createVm, doorbellAt, hostArchitecture, newRing, parseElf, runBare, runVcpus } from 'wcvmm/kvm';
import type { BareMachine, BareRun, Device, DeviceDescription, ElfImage, GuestRam, KvmArchitecture, Memslot, Vcpu, VcpuExit, Vm } from 'wcvmm/kvm';
import { ATTRIBUTES, arm64 } from 'wcvmm/memattr';
import { exitCodeOf, readReport, renderReport, styleOf } from 'wcvmm/report';
import type { Report, Style } from 'wcvmm/report';

const port: Port = libcPort;
const request: MapRequest = parseMap('bar2:0-64K=wc');
const attribute: Attribute = request.attribute;
const codes: readonly ErrorCode[] = ERROR_CODES;
// @ts-expect-error a bigint is no number
const wrong: number = request.start;
const arch: KvmArchitecture | null = hostArchitecture('none');
const device: Device = { write: (_offset, _length, data) => ({ kind: 'done', status: data.getUint32(0, true) }) };
const bus = new Bus('mmio', [{ space: 'mmio', base: 0x1000, size: 8, device }]);
const exit: VcpuExit | null = bus.access(0x1000, 4, true, new DataView(new ArrayBuffer(8)));
const doorbell: DeviceDescription = doorbellAt(Number(BARE_MAP.doorbell), newRing());
console.log(attribute, codes.length > 0, exit?.kind, doorbell.size, arch, ATTRIBUTES.length, arm64.arch, new WcvmmError('E_USAGE', 'x') instanceof Error, wrong === 0);

export function mapped(options: OpenDeviceOptions, range: BarRange): Mapping {
  const opened: BarSource = openDevice('0000:01:00.0', options);
  return mapBar(opened, range);
}
export function machine(): { vm: Vm; vcpu: Vcpu; ram: GuestRam; slot: Memslot } {
  const scope = new Scope();
  const vm = createVm(port, scope);
  const slots: Memslots = vm.slots;
  const ram = allocateRam(port, scope, [{ gpa: 0n, length: 4096n }]);
  return { vm, vcpu: addVcpu(port, scope, vm), ram, slot: slots.add(0n, { address: 0n, length: 4096n }) };
}
export async function guest(bytes: Uint8Array): Promise<BareRun<null>> {
  const image: ElfImage = parseElf(bytes, 'arm64', { gpa: BARE_MAP.ramBase, length: 4096n });
  const made: BareMachine = { thread: new VcpuThread(), image, ramLength: 4096n, windows: [], timeoutMs: 1000 };
  return runBare(made);
}
export async function shown(path: string): Promise<[string, number]> {
  const report: Report = await readReport(path);
  const style: Style = styleOf(process.stdout, process.env);
  return [renderReport(report, style), exitCodeOf(report)];
}
export { runVcpus };
`;

let folder: string;
let archive: string;
let installed: string;

function npm(...args: readonly string[]): string {
  return execFileSync('npm', args, { cwd: projectRoot, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
}

function wcvmm(...args: readonly string[]): { status: number | null; stdout: string; stderr: string } {
  return spawnSync(join(folder, 'node_modules/.bin/wcvmm'), args, { encoding: 'utf8', cwd: folder });
}

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'wcvmm-package-'));
  npm('pack', '--silent', '--pack-destination', folder);
  archive = join(folder, readdirSync(folder).find((name) => name.endsWith('.tgz')) ?? '');
  writeFileSync(join(folder, 'package.json'), '{ "private": true, "type": "module" }');
  npm('install', '--prefix', folder, '--prefer-offline', '--no-audit', '--no-fund', '--loglevel=error', archive);
  installed = join(folder, 'node_modules/wcvmm');
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe('the package', () => {
  test('holds code, guests, patches, pages and manuals, and no test', () => {
    const files = execFileSync('tar', ['-tf', archive], { encoding: 'utf8' })
      .split('\n')
      .map((name) => name.replace('package/', ''));
    for (const name of [
      'dist/tool/cli/cli.js',
      'dist/tool/bundle/licences/commander.txt',
      'dist/vmm/index.d.ts',
      'dist/memattr/index.d.ts',
      'arm64-tests/build/guest.elf',
      'x86-tests/build/guest.elf',
      'host-probe/build/host-probe',
      'kernel-patches/series',
      'testbed/setup',
      'testbed/rootfs/init-qemu',
      'docs/errors.md',
      'docs/report.schema.json',
      'LICENSE',
    ])
      expect(files).toContain(name);
    expect(
      files.filter((name) =>
        /(?:^|\/)test\/|\.test\.|\.o$|\.d$|bad-|node_modules|tsbuildinfo|^testbed.*\.ts$/.test(name),
      ),
    ).toEqual([]);
  });

  // A new command wants its page in package.json: npm takes no folder of manual pages from an archive.
  test('lists every manual page for npm to install', () => {
    const { man } = JSON.parse(readFileSync(join(installed, 'package.json'), 'utf8')) as Manifest;
    expect(man.toSorted()).toEqual(
      readdirSync(join(installed, 'dist/man'))
        .map((name) => `./dist/man/${name}`)
        .toSorted(),
    );
  });
});

describe('installed elsewhere', () => {
  test('says its version', () => {
    const { version } = JSON.parse(readFileSync(join(projectRoot, 'package.json'), 'utf8')) as Manifest;
    expect(wcvmm('--version')).toMatchObject({ status: 0, stdout: `${version}\n` });
  });

  test('runs doctor and devices', () => {
    expect(JSON.parse(wcvmm('doctor', '--json').stdout)).toMatchObject({ schema: 'wcvmm.doctor/2' });
    expect(JSON.parse(wcvmm('devices', '--json').stdout)).toMatchObject({ schema: 'wcvmm.devices/1' });
  });

  test('runs verify in an emulated instance', { timeout: 300_000 }, () => {
    const { status, stdout, stderr } = wcvmm(...VERIFY);
    expect(stderr).not.toContain('E_');
    expect(stdout).toMatch(/^✓ observed {4}by 24 of 24 checks/m);
    expect(status).toBe(0);
  });

  test('the entry points need no native code until a call does', () => {
    const code = `
      for (const name of ['wcvmm', 'wcvmm/kvm', 'wcvmm/memattr', 'wcvmm/report']) await import(name);
      const { createRequire } = await import('node:module');
      console.log(Object.keys(createRequire(import.meta.url).cache).filter((path) => path.includes('koffi')).length);
      (await import('wcvmm')).pageSize();
      console.log(Object.keys(createRequire(import.meta.url).cache).filter((path) => path.includes('koffi')).length > 0);`;
    writeFileSync(join(folder, 'cold.js'), code);
    expect(spawnSync(process.execPath, [join(folder, 'cold.js')], { encoding: 'utf8' })).toMatchObject({
      stderr: '',
      stdout: '0\ntrue\n',
    });
  });

  test('is a library with types', () => {
    writeFileSync(join(folder, 'use.ts'), TYPED);
    const options = {
      target: 'es2023',
      module: 'nodenext',
      strict: true,
      outDir: 'out',
      types: [],
      noEmitOnError: true,
    };
    writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify({ compilerOptions: options, files: ['use.ts'] }));
    // The compiler and Node's types are the project's own: what is installed here must do without any of its tools.
    const { stdout } = spawnSync(
      join(projectRoot, 'node_modules/.bin/tsc'),
      ['-p', folder, '--typeRoots', join(projectRoot, 'node_modules/@types'), '--types', 'node'],
      { encoding: 'utf8' },
    );
    expect(stdout).toBe('');
    expect(spawnSync(process.execPath, [join(folder, 'out/use.js')], { encoding: 'utf8' }).stdout).toBe(
      'wc true done 16 null 3 arm64 true false\n',
    );
  });
});
