import { spawnSync } from 'node:child_process';
import { describe, expect, test } from 'vitest';
import { Scope } from '../common/scope.ts';
import { addVcpu } from '../vmm/kvm/vcpu.ts';
import { createVm } from '../vmm/kvm/vm.ts';
import { PciHost } from '../vmm/devices/pci/host.ts';
import { enableCap } from '../vmm/sys/kvm.ts';
import { KVM_IRQ_CAP } from '../vmm/sys/kvm-irq.ts';
import { libcPort, pageSize } from '../vmm/sys/libc.ts';
import { MADE_UP_FILE, openHostOnMemory } from './fake-pci.ts';
import type { FakeKernel } from './fake-pci.ts';
import { whyNoKvm } from './own-kvm.ts';

const [GET_LAPIC, SET_LAPIC] = [0x8400ae8e, 0x4400ae8f];
const SPURIOUS = 0xf0;
const REQUESTED = 0x200;

const why = process.arch === 'x64' ? whyNoKvm() : 'it looks into a local APIC';
const DEVFN = 8;

describe.skipIf(why !== null)(`this machine's own KVM${why === null ? '' : ` (skipped: ${why})`}`, () => {
  test("takes a device's interrupts from its eventfd, by the route that the guest wrote, and its BAR's memslot", () => {
    const scope = new Scope();
    let fake: FakeKernel;
    try {
      const vm = createVm(libcPort, scope);
      enableCap(libcPort, vm.vm, KVM_IRQ_CAP.splitIrqchip, 24);
      const vcpu = addVcpu(libcPort, scope, vm);
      const opened = openHostOnMemory(libcPort, scope, vm, pageSize());
      const { port } = opened;
      ({ fake } = opened);
      const host = new PciHost(port, structuredClone(opened.host.options));
      const lapic = new Uint8Array(1024);
      const registers = new DataView(lapic.buffer);
      port.ioctl(vcpu.fd, GET_LAPIC, lapic);
      registers.setUint32(SPURIOUS, 0x1ff, true);
      port.ioctl(vcpu.fd, SET_LAPIC, lapic);
      const requested = (vector: number): boolean => {
        port.ioctl(vcpu.fd, GET_LAPIC, lapic);
        return (registers.getUint32(REQUESTED + (vector >> 5) * 16, true) & (1 << (vector & 31))) !== 0;
      };
      const write = (at: number, value: number): void =>
        host.writeConfig(DEVFN * 4096 + at, 4, new DataView(new Uint32Array([value]).buffer));
      const data = new DataView(new ArrayBuffer(8));
      host.readConfig(DEVFN * 4096 + 0x10, 4, data);
      const table = (data.getUint32(0, true) & ~0xf) + 0x2000;
      const entry = (vector: number, words: readonly number[]): void => {
        for (const [word, value] of words.entries()) {
          host.writeMemory(table + vector * 16 + word * 4, 4, new DataView(new Uint32Array([value]).buffer));
        }
      };
      write(4, 6);
      write(0x40, 0x8000_0000);
      entry(1, [0xfee0_0000, 0, 0x51, 0]);
      entry(2, [0xfee0_0000, 0, 0x52, 0]);
      expect([requested(0x51), requested(0x52)]).toEqual([false, false]);
      // As the device does: VFIO signals what it was asked to.
      const signal = (vector: number): void =>
        void port.write(fake.state(MADE_UP_FILE).vectors?.get(vector) ?? -1, new Uint8Array([1, 0, 0, 0, 0, 0, 0, 0]));
      signal(1);
      expect([requested(0x51), requested(0x52)]).toEqual([true, false]);
      // Masked: it waits, with its vector changed meanwhile, and comes with the unmasking.
      entry(2, [0xfee0_0000, 0, 0x62, 1]);
      signal(2);
      host.readMemory(table + 0x1000, 8, data);
      expect([requested(0x62), data.getUint32(0, true)]).toEqual([false, 1 << 2]);
      entry(2, [0xfee0_0000, 0, 0x62, 0]);
      expect([requested(0x52), requested(0x62)]).toEqual([false, true]);
      // The memslot goes, comes elsewhere, and is KVM's own again.
      write(0x10, 0x1800_0000);
      write(4, 0);
      write(4, 6);
    } finally {
      scope.close();
    }
    expect(fake.state(MADE_UP_FILE).vectors).toBe(null);
  });

  test('gives a guest a device on the bus, whose BAR is where the guest puts it, and nowhere without decoding', () => {
    const { stdout, stderr } = spawnSync(process.execPath, ['dist/test/inside/pci-vmm.js'], { encoding: 'utf8' });
    expect(stderr).toBe('');
    expect(JSON.parse(stdout)).toEqual({
      exit: 'done',
      loaded: [
        '81b36', // the host bridge, by the ports
        '101b36', // the device, by ECAM
        '10000004',
        'ffffffff',
        '50001004',
        '1234',
        'ffffffff',
        '50001008',
        'ffffffff',
      ],
      // The table's two; what is in a memslot is none.
      exits: [2],
      stored: [0xcd, 0xab, 0, 0],
    });
  });
});
