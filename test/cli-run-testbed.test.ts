/** `wcvmm run --testbed`: each of run's options does inside what it would do here. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test, vi } from 'vitest';
import type { Option } from 'commander';
import { runCommand } from '../tool/cli/commands/run.ts';
import { argumentsInside, runGuestInTestbed } from '../tool/cli/commands/run-in-testbed.ts';
import type { RunOptions } from '../tool/cli/commands/run-in-testbed.ts';
import type { TestbedRequest } from '../testbed/index.ts';

const runInTestbed = vi.hoisted(() => vi.fn<(request: TestbedRequest) => Promise<number>>());
vi.mock('../testbed/index.ts', () => ({ runInTestbed }));

const folder = mkdtempSync(join(tmpdir(), 'wcvmm-run-testbed-'));
afterAll(() => rmSync(folder, { recursive: true }));

/** Values that no option has unless it is given. */
const GIVEN: Readonly<Record<string, string>> = {
  device: '0000:01:00.0',
  source: 'sysfs',
  iommu: 'container',
  map: 'bar2:0-64K=device',
  timeout: '7',
  kernel: '/somewhere/Image',
  initrd: '/elsewhere/initramfs',
  append: 'one two',
  cpus: '3',
  console: 'none',
  memory: '96M',
  dmaDevice: '0000:02:00.0',
  json: '-',
};

/** What the option gives inside: the flag, and its value. */
const INSIDE: Readonly<Record<string, string>> = { kernel: 'Image', initrd: 'initramfs' };

function parsed(words: readonly string[]): RunOptions {
  const command = runCommand().action(() => {});
  command.parse([...words], { from: 'user' });
  return command.opts<RunOptions>();
}

const command = runCommand();
const options = command.options.filter(({ long }) => long !== '--testbed' && long !== '--help');

describe('each option of run is given inside', () => {
  test.each(options.map((option): [string, Option] => [option.long ?? '', option]))('%s', (long, option) => {
    const name = option.attributeName();
    const value = GIVEN[name];
    const isFlag = !option.required && !option.optional;
    expect(isFlag || value !== undefined).toBe(true);
    const isLinux = ['kernel', 'initrd', 'append', 'cpus', 'console', 'reboot'].includes(name);
    const other = isLinux && name !== 'kernel' ? ['--kernel', '/k'] : [];
    const words = [...other, long, ...(isFlag || value === undefined ? [] : [value])];
    const inside = argumentsInside(isLinux ? undefined : '/somewhere/guest.elf', parsed(words), name === 'timeout');
    const at = inside.indexOf(long);
    expect(at).toBeGreaterThanOrEqual(0);
    expect(isFlag ? undefined : inside[at + 1]).toBe(isFlag ? undefined : (INSIDE[name] ?? value));
    // And it is a command line.
    expect(() => parsed(inside)).not.toThrow();
  });
});

describe('files that the guest or its result is written to', () => {
  test.each([
    ['--console', (file: string) => ['--kernel', '/k', '--console', `file:${file}`]],
    ['--json', (file: string) => ['--json', file]],
  ])('%s: come out of the instance, also where the guest failed', async (option, words) => {
    const file = join(folder, `${option}.out`);
    runInTestbed.mockImplementation(({ run, outputDir = '' }) => {
      const args = run.kind === 'wcvmm' ? run.args : [];
      const [inside = ''] = args.slice(args.indexOf(option) + 1);
      writeFileSync(join(outputDir, inside.replace(/^file:/, '')), 'said inside');
      return Promise.reject(new Error('no instance any more'));
    });
    const path = option === '--json' ? '/guest.elf' : undefined;
    await expect(runGuestInTestbed(path, parsed(words(file)), 'arm64', false)).rejects.toThrow('no instance');
    expect(readFileSync(file, 'utf8')).toBe('said inside');
  });

  test('are refused before an instance boots, where they cannot be written', async () => {
    runInTestbed.mockReset();
    const absent = join(folder, 'absent', 'x');
    const started = runGuestInTestbed(
      undefined,
      parsed(['--kernel', '/k', '--console', `file:${absent}`]),
      'arm64',
      false,
    );
    await expect(started).rejects.toMatchObject({ code: 'E_USAGE' });
    expect(runInTestbed).not.toHaveBeenCalled();
  });
});
