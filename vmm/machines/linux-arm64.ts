/** arm64 machines for Linux: KVM's GICv3, ITS, timer and PSCI, a PL011, and a devicetree that says so. */
import { parseArm64Image, placeArm64 } from '../boot/arm64-image.ts';
import type { Arm64Image } from '../boot/arm64-image.ts';
import { writeFdt } from '../boot/fdt.ts';
import { pl031At } from '../devices/rtc-pl031.ts';
import { pl011At, wantsPl011 } from '../devices/uart-pl011.ts';
import { addGic } from '../kvm/gic.ts';
import { DEFAULT_IPA_BITS } from '../kvm/vm.ts';
import type { GuestRam } from '../memory/ram.ts';
import { KVM_CAP, checkExtension } from '../sys/kvm.ts';
import {
  ARM_CORE_REG,
  ARM_VCPU_FEATURE,
  armPreferredTarget,
  armVcpuInit,
  setOneReg,
  withVcpuFeatures,
} from '../sys/kvm-arm64.ts';
import { devicetree } from './devicetree-arm64.ts';
import type { LinuxArchitecture, LoadRequest } from './linux-arch.ts';
import { ARM64_MAP, LINUX_MAP } from './linux-map.ts';

const SERIAL_SPI = 1;

export const linuxArm64: LinuxArchitecture = {
  name: 'arm64',
  map: LINUX_MAP.arm64,
  addressBits: (port, kvm) => checkExtension(port, kvm, KVM_CAP.armVmIpaSize) || DEFAULT_IPA_BITS,
  console: 'ttyAMA0',
  parseKernel(bytes) {
    const image = parseArm64Image(bytes);
    return { load: (ram, request) => load(bytes, image, ram, request) };
  },
  addControllers(port, scope, { vm }) {
    const finish = addGic(port, scope, vm, {
      distributor: ARM64_MAP.gicDistributor,
      redistributors: ARM64_MAP.gicRedistributors,
      its: ARM64_MAP.gicIts,
    });
    return { serialLine: { kind: 'gic', vm, spi: SERIAL_SPI }, devices: [pl031At(Number(ARM64_MAP.rtc))], finish };
  },
  initVcpus(port, { vm }, vcpus, { entry, argument }) {
    const target = armPreferredTarget(port, vm);
    const { psci02, powerOff } = ARM_VCPU_FEATURE;
    for (const [index, { fd }] of vcpus.entries()) {
      armVcpuInit(port, fd, withVcpuFeatures(target, psci02, ...(index === 0 ? [] : [powerOff])));
      if (index > 0) continue;
      setOneReg(port, fd, ARM_CORE_REG.pc, entry);
      setOneReg(port, fd, ARM_CORE_REG.x(0), argument);
    }
  },
  parameters: () => [],
  serialPort: (options) => ({ device: pl011At(Number(ARM64_MAP.uart), options), wants: wantsPl011 }),
};

function load(
  bytes: Uint8Array,
  image: Arm64Image,
  ram: GuestRam,
  { commandLine, initrd, cpus, pci }: LoadRequest,
): { readonly entry: bigint; readonly argument: bigint } {
  const [first] = ram.regions;
  if (first === undefined) throw new RangeError('a machine without RAM');
  const tree = (initrdAt: { readonly gpa: bigint; readonly length: bigint } | null): Uint8Array =>
    writeFdt(devicetree({ commandLine, cpus, ram: ram.regions, initrd: initrdAt, serialSpi: SERIAL_SPI, pci }));
  // Where the initrd is does not change how long the tree is.
  const length = tree(initrd === null ? null : { gpa: 0n, length: 0n }).length;
  const places = placeArm64(first, image, length, initrd?.length ?? null);
  ram.write(places.kernel, bytes);
  ram.write(places.devicetree, tree(places.initrd));
  if (initrd !== null && places.initrd !== null) ram.write(places.initrd.gpa, initrd);
  return { entry: places.kernel, argument: places.devicetree };
}
