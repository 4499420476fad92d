/** Everything that reads what comes from a guest, a device or a file, and what may come. It ends, or it throws a WcvmmError. */
import * as fc from 'fast-check';
import { parseProfile } from '../../tool/fleet/profile.ts';
import { parseHosts } from '../../tool/fleet/hosts.ts';
import { formatReport } from '../../tool/report/json.ts';
import { parseReport } from '../../tool/report/schema.ts';
import { decodeLog } from '../../tool/verify/guest/records.ts';
import { parseSpteTrace, rangesOf } from '../../tool/verify/read-back/spte.ts';
import { parseStage2, readRange } from '../../tool/verify/read-back/stage2.ts';
import { parseArm64Image } from '../../vmm/boot/arm64-image.ts';
import { parseBzImage } from '../../vmm/boot/bzimage.ts';
import { parseElf } from '../../vmm/boot/elf.ts';
import { newRing } from '../../vmm/devices/console-ring.ts';
import { guestConfig } from '../../vmm/devices/pci/guest-config.ts';
import { createDevice as createPl011 } from '../../vmm/devices/uart-pl011.ts';
import { createDevice as create16550 } from '../../vmm/devices/uart-16550.ts';
import { newUart } from '../../vmm/devices/uart.ts';
import { parseMap } from '../../vmm/memory/map.ts';
import { parseMsix } from '../../vmm/sys/pci-config.ts';
import { KVM_IRQ_LINE } from '../../vmm/sys/kvm-irq.ts';
import { containerIovaRanges, decodeCapabilities, mmapAttributes, sparseAreas } from '../../vmm/vfio/capabilities.ts';
import { POWER_CAPABILITY, configWith, expressCapability, fakeHost, msixCapability, nvme } from '../fake-pci.ts';
import { sampleReport } from '../report-sample.ts';
import { stubPort } from '../stub-port.ts';
import { anyBytes, changed, changedText } from './bytes.ts';
import * as samples from './samples.ts';

/** One input, and what is done with it. */
export interface Case {
  run(): void;
}

/** What a case was made of stands in fast-check's report of a counterexample. */
export type Target = () => fc.Arbitrary<Case>;

function target<T>(inputs: fc.Arbitrary<T>, read: (input: T) => unknown): Target {
  return () =>
    inputs.map((input) => ({
      run: () => void read(input),
      [fc.toStringMethod]: () => fc.stringify(input),
    }));
}

const RAM = { gpa: 0x4000_0000n, length: 0x40_0000n };

const CONFIG = configWith({
  bars: [
    [0, 0xc],
    [2, 0x8],
  ],
  capabilities: [
    [0x40, msixCapability(9, [0, 0x2000], [0, 0x3000])],
    [0x60, POWER_CAPABILITY],
    [0x70, [0x05, 0, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]],
    [0x80, expressCapability(true)],
  ],
});

const accesses = fc.array(
  fc.record({
    at: fc.oneof(fc.nat(0xff), fc.nat(4095), fc.nat(0xf_ffff)),
    length: fc.integer({ min: 1, max: 8 }),
    value: fc.option(fc.bigInt({ min: 0n, max: (1n << 64n) - 1n })),
  }),
  { maxLength: 8 },
);

type Accesses = typeof accesses extends fc.Arbitrary<infer T> ? T : never;

/** One host for many cases: what a guest has done to it stays, as in a guest's life. It is made anew now and then. */
let pci: ReturnType<typeof fakeHost> | null = null;
let served = 0;

function onPci(list: Accesses): void {
  if (served++ % 1000 === 0) {
    pci?.scope.close();
    pci = fakeHost([nvme({ config: CONFIG, bars: { 0: 0x4000, 2: 0x1000 }, irqs: 9 })]);
  }
  for (const { at, length, value } of list) {
    const [devfn, offset] = [Math.floor(at / 4096), at % 4096];
    if (value === null) pci?.readConfig(devfn, offset, length);
    else pci?.writeConfig(devfn === 0 ? 8 : devfn, offset, length, value);
  }
}

function onUart(create: typeof create16550): (list: Accesses) => void {
  const { port } = stubPort({ ioctls: { [KVM_IRQ_LINE]: () => 0 } });
  const output = newRing();
  const line = { kind: 'gic', vm: 3, spi: 1 } as const;
  let stops = 0;
  // Nobody reads here: a guest that prints is told to stop when the ring is full.
  const device = create({ port, isStopping: () => (stops += 1) > 0 }, { state: newUart(), output, line });
  return (list) => {
    for (const { at, length, value } of list) {
      const data = new DataView(new ArrayBuffer(8));
      data.setBigUint64(0, value ?? 0n, true);
      if (value === null) device.read?.(at % 4096, length, data);
      else device.write?.(at % 4096, length, data);
    }
  };
}

const capabilityReply = fc.tuple(anyBytes(samples.regionReply()), fc.oneof(fc.constant(32), fc.nat(200)));
const json = [formatReport(sampleReport())];
const jsonPieces = ['null', '0', '-1', '1e999', '""', '{}', '[]', '"__proto__":', ',', '"', 'true', '\\u0000'];

export const TARGETS: Readonly<Record<string, Target>> = {
  elf: target(
    fc
      .tuple(fc.constantFrom('arm64', 'x86'), fc.boolean())
      .chain(([arch, isOwn]) =>
        anyBytes(samples.elf((arch === 'arm64') === isOwn ? 183 : 62)).map((bytes) => ({ arch, bytes })),
      ),
    ({ arch, bytes }) => parseElf(bytes, arch === 'arm64' ? 'arm64' : 'x86', RAM),
  ),
  'arm64-image': target(anyBytes(samples.arm64Image(), 0x120), parseArm64Image),
  bzimage: target(anyBytes(samples.bzImage(), 0x280), parseBzImage),
  // Most of the log is room for records.
  records: target(
    fc.tuple(changed(samples.guestLog(), 512), fc.oneof(fc.constant(samples.LOG_CELLS), fc.nat(5000))),
    ([bytes, cells]) => decodeLog(bytes, cells),
  ),
  'vfio-capabilities': target(capabilityReply, ([reply, first]) => {
    const found = decodeCapabilities(reply, first);
    return [sparseAreas(found), mmapAttributes(found), containerIovaRanges(reply)];
  }),
  'pci-capabilities': target(anyBytes(CONFIG, 0x100), (bytes) => [
    parseMsix(bytes),
    guestConfig('0000:01:00.0', bytes, (bar) => (bar === 0 ? 0x4000 : 0)),
  ]),
  'config-writes': target(accesses, onPci),
  'uart-16550': target(accesses, onUart(create16550)),
  'uart-pl011': target(accesses, onUart(createPl011)),
  report: target(changedText(json, jsonPieces), (text) => parseReport(text)),
  map: target(changedText(samples.MAPS, ['bar', ':', '-', '=', '0x', '64K', '9'.repeat(40), 'wc', '/']), parseMap),
  profile: target(changedText([JSON.stringify(samples.PROFILE)], jsonPieces), (text) => parseProfile(text)),
  hosts: target(changedText(['host-1 arm64\nhost-2 x86-amd # new\n'], ['\n', ' ', '#', 'host-1']), (text) =>
    parseHosts(text, 'hosts'),
  ),
  'stage2-dump': target(changedText([samples.STAGE2], ['0x', '-', '2M', '\n', 'ffffffffffffffff']), (text) =>
    readRange(parseStage2(text), 0x1_0000_0000n, 0x40_0000n, 4096),
  ),
  'spte-trace': target(changedText([samples.TRACE], ['gfn', 'spte', 'level 9', '\n', 'ffffffffffffffff']), (text) =>
    rangesOf(parseSpteTrace(text).events, 'npt'),
  ),
};
