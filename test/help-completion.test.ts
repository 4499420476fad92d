import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { buildProgram } from '../tool/cli/commands/program.ts';
import { bashCompletion } from '../tool/cli/help/bash.ts';
import { defineCommand, everyCommand } from '../tool/cli/help/definitions.ts';
import type { CommandDefinition } from '../tool/cli/help/definitions.ts';
import { fishCompletion } from '../tool/cli/help/fish.ts';
import { zshCompletion } from '../tool/cli/help/zsh.ts';

let folder: string;
let program: CommandDefinition;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'wcvmm-completion-'));
  program = defineCommand(await buildProgram([]));
  for (const [shell, script] of Object.entries({
    bash: bashCompletion(program),
    zsh: zshCompletion(program),
    fish: fishCompletion(program),
  }))
    writeFileSync(join(folder, shell), script);
  writeFileSync(join(folder, 'report.json'), '');
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function installed(shell: string): boolean {
  return spawnSync(shell, ['-c', 'true']).status === 0;
}

/** What each shell offers for a line with the cursor at its end. `ls` of the fixture stands in for /sys/bus/pci/devices. */
const SHELLS: Readonly<Record<'bash' | 'fish', (line: string) => readonly string[]>> = {
  bash: (line) =>
    shell('bash', [
      '-c',
      `ls() { printf '%s\\n' 0000:01:00.0 0000:02:00.0; }; source ./bash; COMP_LINE=$1; COMP_POINT=\${#1}; _wcvmm; printf '%s\\n' "\${COMPREPLY[@]}"`,
      'bash',
      line,
    ]),
  fish: (line) =>
    shell('fish', [
      '--no-config',
      '-c',
      'function ls; printf "%s\\n" 0000:01:00.0 0000:02:00.0; end; source ./fish; complete -C "$argv[1]"',
      line,
    ]),
};

function shell(name: string, args: readonly string[]): readonly string[] {
  const { stdout, stderr } = spawnSync(name, args, { cwd: folder, encoding: 'utf8' });
  // compopt only works where a person presses Tab.
  expect(stderr.replaceAll(/.*compopt: not currently executing completion function\n/g, '')).toBe('');
  return stdout
    .split('\n')
    .map((line) => line.split('\t')[0] ?? '')
    .filter((line) => line !== '');
}

const CASES: readonly (readonly [string, readonly string[]])[] = [
  ['wcvmm ver', ['verify']],
  ['wcvmm testbed ', ['exec', 'run', 'shell']],
  ['wcvmm run --sou', ['--source']],
  ['wcvmm run --source ', ['cookie', 'legacy', 'memory', 'sysfs']],
  ['wcvmm run -s le', ['legacy']],
  ['wcvmm --debug testbed run --arch x86-a', ['x86-amd']],
  ['wcvmm completion ', ['bash', 'fish', 'zsh']],
  ['wcvmm verify --device ', ['0000:01:00.0', '0000:02:00.0']],
  ['wcvmm verify --device 0000:0 --js', ['--json']],
  ['wcvmm report rep', ['report.json']],
  ['wcvmm verify --guest rep', ['report.json']],
  ['wcvmm nonsense --so', []],
];

test.each(CASES)('bash completes "%s"', (line, offered) => {
  expect([...SHELLS.bash(line)].toSorted()).toEqual(offered);
});

test.skipIf(!installed('fish'))('fish offers the same (needs fish)', () => {
  expect(CASES.map(([line]) => [line, [...SHELLS.fish(line)].toSorted()])).toEqual(CASES);
});

test('bash replaces only what follows the last colon of an address', () => {
  expect(SHELLS.bash('wcvmm bind 0000:02:0')).toEqual(['00.0']);
});

test.skipIf(!installed('zsh'))('zsh takes its script (needs zsh)', () => {
  expect(spawnSync('zsh', ['-n', join(folder, 'zsh')]).status).toBe(0);
});

describe('every option of every command', () => {
  test('is in the scripts of all shells', () => {
    const scripts = { bash: bashCompletion(program), zsh: zshCompletion(program), fish: fishCompletion(program) };
    for (const { path, options } of everyCommand(program)) {
      for (const { long } of options) {
        expect(scripts.bash).toMatch(new RegExp(`'${path.join(' ')}'\\).*[' ]${long}[' ]`));
        expect(scripts.zsh).toContain(`${long}`);
        expect(scripts.fish).toMatch(new RegExp(`__wcvmm_at ?${path.slice(1).join(' ')}' .*-l ${long.slice(2)} `));
      }
    }
  });

  test('has one name for one thing: an option that several commands have means the same in all', () => {
    const meanings = new Map<string, Set<string>>();
    for (const { path, options } of everyCommand(program)) {
      // Inside of an instance and around it: testbed's --output, --memory and --timeout are the instance's.
      if (path[1] === 'testbed' || path[1] === 'kernel' || path[1] === 'man') continue;
      for (const { long, value } of options)
        meanings.set(long, (meanings.get(long) ?? new Set()).add(JSON.stringify(value?.of ?? 'flag')));
    }
    expect([...meanings].filter(([, kinds]) => kinds.size > 1)).toEqual([]);
  });
});
