import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { projectRoot } from '../common/paths.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'wcvmm-test-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

/** A program of this name, found before the machine's own. */
function fake(name: string, script: string): void {
  writeFileSync(join(folder, name), `#!/bin/sh\n${script}\n`);
  chmodSync(join(folder, name), 0o755);
}

function run(program: string, args: string[]): { code: number | null; stdout: string; stderr: string } {
  const result = spawnSync(join(projectRoot, 'testbed', program), args, {
    encoding: 'utf8',
    env: { ...process.env, PATH: `${folder}:${process.env['PATH']}`, XDG_CACHE_HOME: folder },
  });
  return { code: result.status, stdout: result.stdout, stderr: result.stderr };
}

/** What `apt-get update --print-uris` says on a machine that also uses somebody else's archive. */
const targets = [
  "'https://other.example/node/dists/nodistro/InRelease' other.example_node_dists_nodistro_InRelease 0 ",
  "'https://mirror.example/debian/dists/CODENAME/InRelease' mirror.example_debian_dists_CODENAME_InRelease 0 ",
  "'https://mirror.example/debian/dists/CODENAME-updates/InRelease' mirror.example_debian_dists_CODENAME-updates_InRelease 0 ",
  "'https://security.example/debian/dists/CODENAME-security/InRelease' security.example_debian_dists_CODENAME-security_InRelease 0 ",
  "'https://mirror.example/debian/dists/CODENAME/main/binary-all/Packages.xz' mirror.example_debian_dists_CODENAME_Packages 0 ",
].join('\n');

const codename = spawnSync('sh', ['-c', '. /etc/os-release; printf %s "$VERSION_CODENAME"'], {
  encoding: 'utf8',
}).stdout;

describe.skipIf(codename === '')('the private source list', () => {
  it("uses the machine's own mirror for every suite and nobody else's archive", () => {
    // Without `update --print-uris` it would know only of lists that have been fetched already.
    fake(
      'apt-get',
      `[ "$*" = "update --print-uris" ] && cat <<'EOF'\n${targets.replaceAll('CODENAME', codename)}\nEOF`,
    );
    const { code, stdout } = run('apt', ['sources', 'release', 'some-backports']);
    expect(code).toBe(0);
    expect(stdout.replaceAll(/ \[.*?\]/g, '').replaceAll(codename, 'CODENAME')).toBe(
      [
        'deb https://mirror.example/debian/ CODENAME main',
        'deb https://mirror.example/debian/ CODENAME-updates main',
        'deb https://security.example/debian/ CODENAME-security main',
        'deb https://mirror.example/debian/ some-backports main',
        '',
      ].join('\n'),
    );
  });

  it('says so when the machine has no mirror of its release', () => {
    fake('apt-get', `echo "'https://other.example/node/dists/nodistro/InRelease' other.example 0"`);
    const { code, stderr } = run('apt', ['sources', 'release']);
    expect(code).toBe(2);
    expect(stderr).toContain(`no mirror of Debian ${codename}`);
  });
});

function foldersAbove(path: string): readonly string[] {
  return path === '/' ? [path] : [path, ...foldersAbove(dirname(path))];
}

it.skipIf(codename === '')("leaves apt's own user, who must be able to read what it is given", () => {
  const suite = `wcvmm-test-${process.pid}`;
  fake(
    'apt-get',
    `case $* in
update*--print-uris) cat <<'EOF'
${targets.replaceAll('CODENAME', codename)}
EOF
;;
*update) apt-config dump | grep -E '^(APT::Sandbox::User|Dir::State::lists|Dir::Cache) ' ;;
*) pwd; touch package.deb ;;
esac`,
  );
  const output = join(folder, 'out');
  mkdirSync(output);
  const { code, stdout } = run('apt', ['download', suite, 'all', output, 'package']);
  const isRoot = process.getuid?.() === 0;
  const state = join(isRoot ? '/var/cache/wcvmm/apt' : join(folder, 'wcvmm/apt'), suite);
  try {
    expect(code).toBe(0);
    expect(stdout.split('\n').sort()).toEqual(
      [
        'APT::Sandbox::User "_apt";',
        `Dir::Cache "${state}/cache";`,
        `Dir::State::lists "${state}/lists";`,
        isRoot ? `${state}/download` : output,
        '',
      ].sort(),
    );
    expect(readdirSync(output)).toEqual(['package.deb']);
    const needed = isRoot ? foldersAbove(state) : [];
    expect(needed.filter((path) => (statSync(path).mode & 0o5) !== 0o5)).toEqual([]);
  } finally {
    rmSync(state, { recursive: true, force: true });
  }
});

describe.skipIf(codename === '')('the packages that one depends on', () => {
  const suite = `wcvmm-test-${process.pid}`;
  const state = join(
    process.getuid?.() === 0 ? '/var/cache/wcvmm/apt' : join(folder ?? '', 'wcvmm/apt'),
    `${suite}-arm64`,
  );
  afterEach(() => rmSync(state, { recursive: true, force: true }));

  /** apt-cache knows linux-image-cloud-arm64 and nothing else. */
  function depends(name: string): ReturnType<typeof run> {
    fake(
      'apt-get',
      `[ "$*" = "update --print-uris" ] && cat <<'EOF'\n${targets.replaceAll('CODENAME', codename)}\nEOF\nexit 0`,
    );
    fake(
      'apt-cache',
      `[ "$1 $2" = "show linux-image-cloud-arm64:arm64" ] && exit
[ "$1" = depends ] && printf '%s\\n' 'linux-image-cloud-arm64:arm64' '  Depends: linux-image-6.1.0-9-cloud-arm64:arm64'`,
    );
    return run('apt', ['depends', suite, 'arm64', name]);
  }

  it('are printed by name, without their architecture', () => {
    expect(depends('linux-image-cloud-arm64')).toMatchObject({ code: 0, stdout: 'linux-image-6.1.0-9-cloud-arm64\n' });
  });

  it('are not looked for where there is no package of that exact name', () => {
    const { code, stdout, stderr } = depends('linux-image');
    expect([code, stdout]).toEqual([2, '']);
    expect(stderr).toContain('has no package linux-image for arm64');
  });
});

describe('setup', () => {
  it('does nothing and says nothing when all is there', () => {
    expect(run('setup', [])).toEqual({ code: 0, stdout: '', stderr: '' });
  });

  it('installs npm packages without running their scripts', () => {
    const copy = join(folder, 'project/testbed/setup');
    mkdirSync(dirname(copy), { recursive: true });
    copyFileSync(join(projectRoot, 'testbed/setup'), copy);
    writeFileSync(
      join(folder, 'project/package-lock.json'),
      '{ "packages": { "node_modules/a": { "version": "1.0.0" } } }',
    );
    fake('npm', `echo "$*" >>${folder}/arguments`);
    spawnSync(copy, [], { env: { ...process.env, PATH: `${folder}:${process.env['PATH']}` } });
    expect(readFileSync(join(folder, 'arguments'), 'utf8')).toMatch(/^install --ignore-scripts .*\n$/);
  });

  it('prints the exact command instead of installing when it is not root', () => {
    fake('id', 'echo 1000');
    fake('qemu-system-aarch64', 'echo QEMU emulator version 7.2.1');
    const { code, stderr } = run('setup', ['--packages']);
    expect(code).toBe(2);
    expect(stderr).toContain('packages are missing: qemu-system-arm\n');
    expect(stderr).toContain(`sudo ${projectRoot}/testbed/setup --packages`);
  });
});
