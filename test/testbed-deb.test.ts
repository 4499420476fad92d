import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it, test, vi } from 'vitest';
import { adaptConfig, unmetNeeds, type Change } from '../kernel-patches/tools/deb/config.ts';
import { buildPackages, type PackageRequest } from '../kernel-patches/tools/deb/index.ts';
import { packageArchitectures, packageTarget } from '../kernel-patches/tools/deb/targets.ts';
import { checkTools } from '../kernel-patches/tools/deb/tools.ts';
import { projectRoot } from '../common/paths.ts';

const x86 = packageTarget('x86');
const arm64 = packageTarget('arm64');

function adapt(text: string, target = x86): { text: string; changes: Record<string, string> } {
  const adapted = adaptConfig(`${target.mark}=y\nCONFIG_LOCALVERSION="-wcvmm"\n${text}`, target, 'config');
  return {
    text: adapted.text,
    changes: Object.fromEntries(adapted.changes.map(({ option, from, to }) => [option, `${from} -> ${to}`])),
  };
}

describe("the instance's configuration", () => {
  it('keeps what suffices, as a module or built in', () => {
    const { changes } = adapt('CONFIG_MODULES=y\nCONFIG_VFIO=m\nCONFIG_KVM=y\nCONFIG_VFIO_DEVICE_CDEV=y\n');
    for (const option of ['CONFIG_VFIO', 'CONFIG_KVM', 'CONFIG_VFIO_DEVICE_CDEV'])
      expect(changes).not.toHaveProperty(option);
  });

  it('gets what is missing as a module, and built in where there are no modules', () => {
    expect(adapt('CONFIG_MODULES=y\n# CONFIG_VFIO_PCI is not set\n').changes).toMatchObject({
      CONFIG_VFIO_PCI: 'n -> m',
      CONFIG_VFIO_DEVICE_CDEV: 'n -> y',
    });
    expect(adapt('# CONFIG_VFIO_PCI is not set\n').changes).toMatchObject({ CONFIG_VFIO_PCI: 'n -> y' });
  });

  it('has every option once, as it is wanted', () => {
    const { text } = adapt(
      'CONFIG_MODULES=y\n# CONFIG_VFIO_PCI is not set\nCONFIG_VFIO_PCI_CORE=m\nCONFIG_DEBUG_INFO_DWARF5=y\n',
    );
    expect(text.match(/CONFIG_VFIO_PCI\b.*/g)).toEqual(['CONFIG_VFIO_PCI=m']);
    expect(text).toContain('CONFIG_VFIO_PCI_CORE=m\n');
    expect(text).toContain('# CONFIG_DEBUG_INFO_DWARF5 is not set\n');
  });

  it("keeps one vendor's drivers, and gets both vendors' where it has none", () => {
    const { changes } = adapt('CONFIG_MODULES=y\nCONFIG_INTEL_IOMMU=y\n');
    expect(changes).toMatchObject({ CONFIG_KVM_INTEL: 'n -> m', CONFIG_KVM_AMD: 'n -> m' });
    expect(changes).not.toHaveProperty('CONFIG_AMD_IOMMU');
  });

  it('asks for tracepoints by themselves only where no tracer brings them', () => {
    expect(adapt('').changes).toMatchObject({ CONFIG_ENABLE_DEFAULT_TRACERS: 'n -> y' });
    expect(adapt('CONFIG_EVENT_TRACING=y\n').changes).not.toHaveProperty('CONFIG_ENABLE_DEFAULT_TRACERS');
  });

  it('loses debug information, and the files of whoever built that kernel', () => {
    const { changes } = adapt(
      'CONFIG_DEBUG_INFO_DWARF5=y\nCONFIG_DEBUG_INFO_BTF=y\nCONFIG_SYSTEM_TRUSTED_KEYS="debian/certs.pem"\nCONFIG_SYSTEM_REVOCATION_KEYS=""\nCONFIG_MODULE_SIG_KEY="/keys/a.pem"\n',
    );
    expect(changes).toMatchObject({
      CONFIG_DEBUG_INFO_NONE: 'n -> y',
      CONFIG_DEBUG_INFO_BTF: 'y -> n',
      CONFIG_SYSTEM_TRUSTED_KEYS: '"debian/certs.pem" -> ""',
      CONFIG_MODULE_SIG_KEY: '"/keys/a.pem" -> "certs/signing_key.pem"',
    });
    expect(changes).not.toHaveProperty('CONFIG_SYSTEM_REVOCATION_KEYS');
  });

  it('is a kernel of another name than the old one', () => {
    expect(adaptConfig('CONFIG_ARM64=y\nCONFIG_LOCALVERSION="-cloud"\n', arm64, 'c').text).toContain(
      'CONFIG_LOCALVERSION="-cloud-wcvmm"\n',
    );
  });

  it('that has been adapted once is not changed again', () => {
    for (const target of [x86, arm64]) {
      const adapted = adaptConfig(
        `${target.mark}=y\nCONFIG_MODULES=y\nCONFIG_EVENT_TRACING=y\nCONFIG_DEBUG_INFO_DWARF4=y\n`,
        target,
        'c',
      );
      expect(adaptConfig(adapted.text, target, 'c').changes).toEqual([]);
      expect(unmetNeeds(adapted.text, target)).toEqual([]);
    }
  });

  it('of another architecture is refused, as is a text that is none', () => {
    expect(() => adaptConfig('CONFIG_ARM64=y\n', x86, 'c')).toThrow(/CONFIG_X86_64=y.*--arch/);
    expect(() => adaptConfig('hello', arm64, 'c')).toThrow(/is not the configuration/);
  });
});

test.each(packageArchitectures)('what %s needs is what its testbed is built with', (arch) => {
  const config = readFileSync(join(projectRoot, `kernel-patches/configs/${arch}.config`), 'utf8');
  // Tracepoints come with any tracer.
  expect(unmetNeeds(config, packageTarget(arch)).filter((text) => !text.startsWith('CONFIG_EVENT_TRACING'))).toEqual(
    [],
  );
});

test('an architecture without a series is refused', () => {
  expect(() => packageTarget('riscv')).toThrow(/--arch takes: arm64, x86/);
});

test('what is not installed is named by its Debian package, all of it at once', () => {
  const cross = packageTarget(process.arch === 'x64' ? 'arm64' : 'x86');
  expect(() =>
    checkTools(cross, (name) => !['rsync', `${cross.crossCompile}gcc`, '/usr/include/gelf.h'].includes(name)),
  ).toThrow(`apt-get install ${cross.crossPackage} rsync libelf-dev`);
  expect(() => checkTools(cross, () => true)).not.toThrow();
});

test('the page for cloud instances installs all of it', () => {
  const listed =
    /apt-get install (build-essential .*)/
      .exec(readFileSync(join(projectRoot, 'docs/cloud.md'), 'utf8'))?.[1]
      ?.split(' ') ?? [];
  const native = packageTarget(process.arch === 'x64' ? 'x86' : 'arm64');
  expect(() => checkTools(native, () => false)).toThrow(`apt-get install ${listed.join(' ')}`);
});

/** A Linux with one rule of kconfig's, which DROP breaks, and packages that hang where HANG says so. */
const MAKEFILE = `VERSION = 7
PATCHLEVEL = 3
mrproper:
olddefconfig:
\t@if [ -n "$(DROP)" ]; then sed -i "s/^$(DROP)=.*/# $(DROP) is not set/" .config; fi; echo CONFIG_EVENT_TRACING=y >>.config
bindeb-pkg:
\t@echo "  CC      a.o"; for p in linux-image-7.3.0 linux-headers-7.3.0 linux-libc-dev; do echo $$p >../"$$p"_1.deb; $(if $(HANG),touch $(HANG); sleep 1000;) done; echo >../linux-upstream_1.changes
`;

function buildable(): boolean {
  try {
    checkTools(x86);
    return true;
  } catch {
    return false;
  }
}

describe('the packages', () => {
  let folder: string;
  let request: PackageRequest;
  const seen: Change[] = [];
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'wcvmm-deb-'));
    mkdirSync(join(folder, 'linux'));
    writeFileSync(join(folder, 'linux/Makefile'), MAKEFILE);
    writeFileSync(join(folder, 'config'), 'CONFIG_X86_64=y\n');
    vi.stubEnv('XDG_CACHE_HOME', join(folder, 'cache'));
    seen.length = 0;
    request = {
      arch: 'x86',
      config: join(folder, 'config'),
      linuxSource: join(folder, 'linux'),
      outputDir: join(folder, 'out'),
      patches: [],
      onChanges: (changes) => seen.push(...changes),
    };
    vi.spyOn(process.stderr, 'write').mockReturnValue(true);
  });
  afterEach(() => {
    vi.unstubAllEnvs();
    vi.restoreAllMocks();
    rmSync(folder, { recursive: true, force: true });
  });
  const left = (): string[] =>
    readdirSync(join(folder, 'cache/wcvmm/kernel-deb/x86')).filter((name) => name.startsWith('linux-'));

  describe.skipIf(!buildable())("of a make that is not Linux' (needs what `wcvmm kernel deb` needs)", () => {
    it('are the image and the headers; what is not for the instance does not stay', async () => {
      expect(await buildPackages(request)).toEqual(
        ['linux-image-7.3.0_1.deb', 'linux-headers-7.3.0_1.deb'].map((name) => join(folder, 'out', name)),
      );
      expect(readdirSync(join(folder, 'out')).sort()).toEqual(['linux-headers-7.3.0_1.deb', 'linux-image-7.3.0_1.deb']);
      expect(left()).toEqual([]);
      expect(seen.map(({ option }) => option)).toContain('CONFIG_VFIO_DEVICE_CDEV');
    });

    it('are not built when Linux drops what wcvmm needs', async () => {
      vi.stubEnv('DROP', 'CONFIG_VFIO_PCI');
      await expect(buildPackages(request)).rejects.toMatchObject({
        code: 'E_KERNEL_BUILD',
        message: expect.stringContaining('CONFIG_VFIO_PCI is n.') as string,
      });
      expect(existsSync(join(folder, 'out'))).toBe(false);
    });

    it('do not appear when the build is interrupted, and the next build succeeds', async () => {
      const mark = join(folder, 'mark');
      const code = `import { buildPackages } from ${JSON.stringify(join(projectRoot, 'dist/kernel-patches/tools/deb/index.js'))};
        await buildPackages({ ...${JSON.stringify(request)}, onChanges: () => {} }).catch((error) => { console.log(error.code); });`;
      const child = spawn(process.execPath, ['--input-type=module', '-e', code], {
        env: { ...process.env, HANG: mark },
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      const said: string[] = [];
      child.stdout.on('data', (chunk: Buffer) => said.push(chunk.toString()));
      const closed = once(child, 'close');
      while (!existsSync(mark) && child.exitCode === null) await setImmediate();
      child.kill('SIGINT');
      await closed;
      expect(said.join('')).toBe('E_INTERRUPTED\n');
      expect(existsSync(join(folder, 'out'))).toBe(false);
      expect(await buildPackages(request)).toHaveLength(2);
    });
  });

  it('of a configuration that is not there', async () => {
    await expect(buildPackages({ ...request, config: join(folder, 'none') })).rejects.toMatchObject({
      code: 'E_USAGE',
    });
  });
});
