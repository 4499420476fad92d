import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { projectRoot } from '../common/paths.ts';
import { inTestbed } from './support.ts';

const page = readFileSync(join(projectRoot, 'docs/cloud.md'), 'utf8');
const blocks = [...page.matchAll(/^```sh testbed\n([^]*?)^```$/gm)].map(([, block]) => block ?? '');

/** The page's own commands, each followed by its exit code; before them the device is as a new instance has it. */
function script(device: string): string {
  const commands = blocks.flatMap((block) => block.trim().split('\n'));
  return [
    'driver() { basename "$(readlink /sys/bus/pci/devices/$ADDRESS/driver)"; }',
    `ADDRESS=${device}`,
    'wcvmm unbind $ADDRESS 2>/dev/null; cd /tmp',
    ...commands.map(
      (command) => `echo '### ${command.replaceAll("'", "'\\''")}'; ${command}\necho "[$?] driver: $(driver)"`,
    ),
    'ls report.xml /run/wcvmm',
  ].join('\n');
}

describe.each(['arm64', 'x86-amd'])('the page for cloud instances, on %s', async (arch) => {
  const { stdout } = await inTestbed({
    arch,
    timeout: 400,
    run: { kind: 'program', args: ['sh', '-c', script('0000:01:00.0')] },
  });
  const said = new Map(
    stdout
      .split('### ')
      .slice(1)
      .map((part) => [part.slice(0, part.indexOf('\n')), part.slice(part.indexOf('\n') + 1)]),
  );
  const after = (start: string): string =>
    [...said].find(([command]) => command.startsWith(start))?.[1] ?? `${start} was not run`;

  test('looks', () => {
    expect(after('wcvmm devices')).toMatch(/0000:01:00\.0 {2}1af4:1110 {2}memory, no driver/);
    expect(after('wcvmm doctor ||')).toContain('ok       kvm ');
  });

  test('binds, and doctor says that verify would run', () => {
    expect(after('wcvmm bind')).toMatch(/^\[0\] driver: vfio-pci$/m);
    expect(after('wcvmm doctor -d')).toMatch(/would run here\n\[0\]/);
  });

  test('verifies by cookie and by sysfs', () => {
    for (const command of [
      'wcvmm verify -d $ADDRESS -m bar2:0-64K=device -m bar2:64K-128K=wc --allow-writes',
      'wcvmm verify -d $ADDRESS -m bar2:0-64K=device --source sysfs',
    ]) {
      expect(after(command)).toMatch(/✓ programmed [^✗]*\n\[0\]/);
    }
  });

  test('reads the report, and compares', () => {
    expect(after('wcvmm report cookie.json\n')).not.toContain('E_');
    for (const command of ['wcvmm report cookie.json', 'wcvmm compare', 'wcvmm report cookie.json --junit'])
      expect(after(command)).toMatch(/^\[0\]/m);
  });

  test('goes back: no driver, as before, and nothing left but the report', () => {
    expect(after('wcvmm unbind')).toMatch(/^\[0\] driver: $/m);
    expect(stdout).toMatch(/report\.xml\n\n\/run\/wcvmm:\n$/);
  });
});
