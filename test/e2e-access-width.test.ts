import { chmodSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { findings, insideScript } from './support.ts';

const ROUNDS = 3000;
const folder = mkdtempSync(join(tmpdir(), 'wcvmm-test-'));
// The emulator, which is a user of its own, writes its trace there.
chmodSync(folder, 0o777);
afterAll(() => rmSync(folder, { recursive: true }));

/** Runs test/inside/access-width, and returns what it says and QEMU's trace of accesses to devices. */
async function traced(arch: string): Promise<{ stdout: string; trace: string }> {
  const file = join(folder, `${arch}.trace`);
  const { stdout } = await insideScript('access-width', [String(ROUNDS)], {
    arch,
    emulatorOptions: ['-trace', `enable=memory_region_ops_*,file=${file}`],
  });
  return { stdout, trace: readFileSync(file, 'utf8') };
}

/** The script's first store. */
const MARK = ' value 0x77636d6d size 4 ';

/** `write 8 at 0x28`, with how often it is in the trace after the mark, of that NVMe controller that was accessed the most: the kernel has the other. */
function accessesIn(trace: string): ReadonlyMap<string, number> {
  const byRegion = new Map<string, string[]>();
  for (const [, kind = '', region = '', address = '', size = ''] of trace
    .slice(trace.indexOf(MARK))
    .matchAll(/^memory_region_ops_(read|write) .*?mr (\S+) addr (\S+) .*?size (\d+) name 'nvme'$/gm)) {
    const accesses = byRegion.get(region) ?? [];
    accesses.push(`${kind} ${size} at 0x${(BigInt(address) & 0xfffn).toString(16)}`);
    byRegion.set(region, accesses);
  }
  const [most = []] = [...byRegion.values()].toSorted((a, b) => b.length - a.length);
  return most.reduce((counts, access) => counts.set(access, (counts.get(access) ?? 0) + 1), new Map<string, number>());
}

describe.each(['x86-amd', 'arm64'])('on %s the device sees each access of a trapped window once', async (arch) => {
  const { stdout, trace } = await traced(arch);

  test('at its own size, however often V8 has seen the code', () => {
    expect(findings(stdout).get('accesses')).toBe(6 * ROUNDS);
    expect(Object.fromEntries(accessesIn(trace))).toEqual({
      'read 8 at 0x0': ROUNDS,
      'read 4 at 0x8': ROUNDS,
      'read 2 at 0x2': ROUNDS,
      'write 8 at 0x28': ROUNDS,
      'write 4 at 0x24': ROUNDS,
      'write 2 at 0x26': ROUNDS,
    });
  });
});
