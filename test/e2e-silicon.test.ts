/**
 * Silicon on which a memory type does harm, known by its SoC id or its root ports: an instance whose sysfs is made to say so. (Its MIDR is
 * the emulator's own: e2e-host.test.ts.)
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Report } from '../tool/report/report.ts';
import { inTestbed } from './support.ts';

const VERA = 'nvidia-vera-partial-nc-writes';
const ALTRA = 'ampere-altra-pcie-65';

/** Nothing can be made in sysfs: /sys/devices becomes a folder in memory, and what was there is mounted into it. */
const SCRIPT = `
set -e
made=/tmp/devices
mkdir $made
mount -t tmpfs none $made
for each in /sys/devices/*; do mkdir $made/\${each##*/}; mount --bind $each $made/\${each##*/}; done
mkdir $made/soc0
mount --rbind $made /sys/devices
look() {
  wcvmm verify -d 0000:01:00.0 -m bar2:0-64K=device -m bar2:64K-128K=wc --json $1.json >$1.txt
  wcvmm doctor >$1.doctor || [ $? = 1 ]
}
soc() { echo $1 >/sys/devices/soc0/soc_id; echo $2 >/sys/devices/soc0/revision; }
look none
soc jep106:036b:0410 4; look vera
soc jep106:036b:0410 5; look mended
soc jep106:0a16:0001 0; look altra
rm -r /sys/devices/soc0
for each in /sys/bus/pci/devices/0000:00:*; do case $(cat $each/class) in 0x0604*) port=$(realpath $each);; esac; done
echo 0x1def >/tmp/vendor; mount --bind /tmp/vendor $port/vendor
echo 0xe101 >/tmp/device; mount --bind /tmp/device $port/device
look port`;

describe('an arm64 instance whose sysfs names other silicon', () => {
  const folder = mkdtempSync(join(tmpdir(), 'wcvmm-test-'));
  const read = (name: string): string => readFileSync(join(folder, name), 'utf8');
  afterAll(() => rmSync(folder, { recursive: true }));
  beforeAll(async () => {
    const { code, stderr } = await inTestbed({
      // Altra's cores, as the erratum's entry wants beside the SoC id.
      cpu: 'neoverse-n1',
      run: { kind: 'program', args: ['sh', '-c', SCRIPT] },
      outputDir: folder,
      timeout: 300,
    });
    if (code !== 0) throw new Error(`the script ended with ${code}: ${stderr}`);
  });

  test.each<[string, string, readonly string[]]>([
    ['no SoC that Linux names', 'none', []],
    ['the SoC id of Vera, revision 4', 'vera', [VERA]],
    ['the SoC id of Vera, revision 5', 'mended', []],
    ['the SoC id of Altra', 'altra', [ALTRA]],
    ['a root port of Altra', 'port', [ALTRA]],
  ])('with %s', (_what, name, known) => {
    const { hazards = [], windows } = JSON.parse(read(`${name}.json`)) as Report;
    expect(hazards.map(({ id, certain }) => [id, certain])).toEqual(known.map((id) => [id, true]));
    const flagged = windows.filter(({ control }) => control !== true).map(({ hazards: of = [] }) => of);
    expect(flagged).toEqual([[], known]);
    const said = [...read(`${name}.txt`).matchAll(/^ {2}\d {2}! of a type that does harm on this silicon: (\S+)$/gm)];
    expect(said.map(([, id]) => id)).toEqual(known);
    const found = [...read(`${name}.doctor`).matchAll(/^ {2}(\S+) +(silicon\S*) +(\S+)/gm)];
    const expected = known.map((id) => ['note', `silicon-${id}`, 'DANGER:']);
    expect(found.map(([, ...words]) => words)).toEqual(known.length > 0 ? expected : [['ok', 'silicon', 'no']]);
  });
});
