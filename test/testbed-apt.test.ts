import { spawnSync } from 'node:child_process';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
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

/** `apt-get indextargets` of a machine that also uses somebody else's archive. */
const targets = [
  'Packages https://other.example/node nodistro',
  'Translations https://mirror.example/debian/ CODENAME',
  'Packages https://mirror.example/debian/ CODENAME',
  'Packages https://mirror.example/debian/ CODENAME',
  'Packages https://mirror.example/debian/ CODENAME-updates',
  'Packages https://security.example/debian/ CODENAME-security',
].join('\n');

const codename = spawnSync('sh', ['-c', '. /etc/os-release; printf %s "$VERSION_CODENAME"'], {
  encoding: 'utf8',
}).stdout;

describe.skipIf(codename === '')('the private source list', () => {
  it("uses the machine's own mirror for every suite and nobody else's archive", () => {
    fake('apt-get', `cat <<'EOF'\n${targets.replaceAll('CODENAME', codename)}\nEOF`);
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
    fake('apt-get', 'echo Packages https://other.example/node nodistro');
    const { code, stderr } = run('apt', ['sources', 'release']);
    expect(code).toBe(2);
    expect(stderr).toContain(`no mirror of Debian ${codename}`);
  });
});

describe('setup', () => {
  it('does nothing and says nothing when all is there', () => {
    expect(run('setup', [])).toEqual({ code: 0, stdout: '', stderr: '' });
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
