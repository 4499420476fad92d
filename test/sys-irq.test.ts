import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it, test } from 'vitest';
import { signalEvent, takeEvents } from '../vmm/sys/eventfd.ts';
import * as kvm from '../vmm/sys/kvm-irq.ts';
import { libcPort } from '../vmm/sys/libc.ts';
import type { Port } from '../vmm/sys/port.ts';
import * as vfio from '../vmm/sys/vfio-irq.ts';
import { stubPort } from './stub-port.ts';

const run = promisify(execFile);

/** C's constants, and what wcvmm has for them. */
const NUMBERS: Readonly<Record<string, number>> = {
  KVM_CREATE_IRQCHIP: kvm.KVM_CREATE_IRQCHIP,
  KVM_IRQ_LINE: kvm.KVM_IRQ_LINE,
  KVM_SET_GSI_ROUTING: kvm.KVM_SET_GSI_ROUTING,
  KVM_IRQFD: kvm.KVM_IRQFD,
  KVM_SIGNAL_MSI: kvm.KVM_SIGNAL_MSI,
  KVM_SET_MP_STATE: kvm.KVM_SET_MP_STATE,
  KVM_SET_TSS_ADDR: kvm.KVM_SET_TSS_ADDR,
  KVM_SET_IDENTITY_MAP_ADDR: kvm.KVM_SET_IDENTITY_MAP_ADDR,
  KVM_CREATE_DEVICE: kvm.KVM_CREATE_DEVICE,
  KVM_SET_DEVICE_ATTR: kvm.KVM_SET_DEVICE_ATTR,
  KVM_HAS_DEVICE_ATTR: kvm.KVM_HAS_DEVICE_ATTR,
  KVM_CAP_IRQCHIP: kvm.KVM_IRQ_CAP.irqchip,
  KVM_CAP_MP_STATE: kvm.KVM_IRQ_CAP.mpState,
  KVM_CAP_IRQ_ROUTING: kvm.KVM_IRQ_CAP.irqRouting,
  KVM_CAP_IRQFD: kvm.KVM_IRQ_CAP.irqfd,
  KVM_CAP_SIGNAL_MSI: kvm.KVM_IRQ_CAP.signalMsi,
  KVM_CAP_IRQFD_RESAMPLE: kvm.KVM_IRQ_CAP.irqfdResample,
  KVM_CAP_SPLIT_IRQCHIP: kvm.KVM_IRQ_CAP.splitIrqchip,
  KVM_CAP_X2APIC_API: kvm.KVM_IRQ_CAP.x2apicApi,
  KVM_CAP_MSI_DEVID: kvm.KVM_IRQ_CAP.msiDeviceId,
  KVM_IRQFD_FLAG_DEASSIGN: kvm.KVM_IRQFD_FLAG.deassign,
  KVM_IRQFD_FLAG_RESAMPLE: kvm.KVM_IRQFD_FLAG.resample,
  KVM_MSI_VALID_DEVID: kvm.KVM_MSI_VALID_DEVID,
  KVM_IRQ_ROUTING_IRQCHIP: kvm.KVM_ROUTE_TYPE.irqchip,
  KVM_IRQ_ROUTING_MSI: kvm.KVM_ROUTE_TYPE.msi,
  KVM_MP_STATE_RUNNABLE: kvm.KVM_MP_STATE.runnable,
  KVM_MP_STATE_UNINITIALIZED: kvm.KVM_MP_STATE.uninitialized,
  KVM_MP_STATE_HALTED: kvm.KVM_MP_STATE.halted,
  KVM_MP_STATE_STOPPED: kvm.KVM_MP_STATE.stopped,
  KVM_DEV_TYPE_VFIO: kvm.KVM_DEVICE_TYPE.vfio,
  KVM_DEV_TYPE_ARM_VGIC_V3: kvm.KVM_DEVICE_TYPE.gicV3,
  KVM_DEV_TYPE_ARM_VGIC_ITS: kvm.KVM_DEVICE_TYPE.gicIts,
  KVM_DEV_VFIO_GROUP: kvm.KVM_DEV_VFIO_FILE.group,
  KVM_DEV_VFIO_GROUP_ADD: kvm.KVM_DEV_VFIO_FILE.add,
  KVM_DEV_VFIO_GROUP_DEL: kvm.KVM_DEV_VFIO_FILE.del,
  VFIO_DEVICE_GET_INFO: vfio.VFIO_DEVICE_GET_INFO,
  VFIO_DEVICE_GET_IRQ_INFO: vfio.VFIO_DEVICE_GET_IRQ_INFO,
  VFIO_DEVICE_SET_IRQS: vfio.VFIO_DEVICE_SET_IRQS,
  VFIO_DEVICE_FLAGS_RESET: vfio.DEVICE_FLAG.reset,
  VFIO_DEVICE_FLAGS_PCI: vfio.DEVICE_FLAG.pci,
  VFIO_PCI_INTX_IRQ_INDEX: vfio.VFIO_PCI_IRQ.intx,
  VFIO_PCI_MSI_IRQ_INDEX: vfio.VFIO_PCI_IRQ.msi,
  VFIO_PCI_MSIX_IRQ_INDEX: vfio.VFIO_PCI_IRQ.msix,
  VFIO_IRQ_INFO_EVENTFD: vfio.IRQ_FLAG.eventfd,
  VFIO_IRQ_INFO_MASKABLE: vfio.IRQ_FLAG.maskable,
  VFIO_IRQ_INFO_AUTOMASKED: vfio.IRQ_FLAG.automasked,
  VFIO_IRQ_INFO_NORESIZE: vfio.IRQ_FLAG.noResize,
  VFIO_IRQ_SET_DATA_NONE: vfio.IRQ_SET.dataNone,
  VFIO_IRQ_SET_DATA_EVENTFD: vfio.IRQ_SET.dataEventfd,
  VFIO_IRQ_SET_ACTION_TRIGGER: vfio.IRQ_SET.actionTrigger,
};

const X86: Readonly<Record<string, number>> = {
  KVM_IRQCHIP_PIC_MASTER: kvm.KVM_IRQCHIP.picMaster,
  KVM_IRQCHIP_PIC_SLAVE: kvm.KVM_IRQCHIP.picSlave,
  KVM_IRQCHIP_IOAPIC: kvm.KVM_IRQCHIP.ioapic,
};

const ARM64: Readonly<Record<string, number>> = {
  KVM_DEV_ARM_VGIC_GRP_ADDR: kvm.KVM_GIC.addressGroup,
  KVM_DEV_ARM_VGIC_GRP_NR_IRQS: kvm.KVM_GIC.irqCountGroup,
  KVM_DEV_ARM_VGIC_GRP_CTRL: kvm.KVM_GIC.controlGroup,
  KVM_DEV_ARM_VGIC_CTRL_INIT: kvm.KVM_GIC.init,
  KVM_VGIC_V3_ADDR_TYPE_DIST: kvm.KVM_GIC.address.distributor,
  KVM_VGIC_V3_ADDR_TYPE_REDIST: kvm.KVM_GIC.address.redistributors,
  KVM_VGIC_ITS_ADDR_TYPE: kvm.KVM_GIC.address.its,
  KVM_VGIC_V3_ADDR_TYPE_REDIST_REGION: kvm.KVM_GIC.address.redistributorRegion,
};

/** A compiler, and where its Linux headers are; they come with Debian's linux-libc-dev and linux-libc-dev-arm64-cross. */
const COMPILERS = [
  {
    arch: 'x86',
    compiler: 'gcc',
    headers: '/usr/include/linux/vfio.h',
    numbers: { ...NUMBERS, ...(process.arch === 'x64' ? X86 : {}) },
  },
  {
    arch: 'arm64',
    compiler: 'aarch64-linux-gnu-gcc',
    headers: '/usr/aarch64-linux-gnu/include/linux/vfio.h',
    numbers: { ...NUMBERS, ...ARM64 },
  },
];

describe("the numbers are those of Linux's headers", () => {
  let directory = '';
  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'wcvmm-irq-'));
  });
  afterAll(() => rm(directory, { recursive: true, force: true }));

  test.for(COMPILERS)('$arch', async ({ arch, compiler, headers, numbers }, { skip }) => {
    skip(!existsSync(headers), `${headers} is not installed`);
    const file = join(directory, `${arch}.c`);
    const asserts = Object.entries(numbers).map(
      ([name, value]) => `_Static_assert((unsigned long)(${name}) == ${value}ul, "${name}");`,
    );
    const sizes = [
      'sizeof(struct kvm_irqfd) == 32',
      'sizeof(struct kvm_irq_routing_entry) == 48',
      'offsetof(struct kvm_irq_routing_entry, u.msi.devid) == 28',
      'sizeof(struct kvm_irq_routing) == 8',
      'offsetof(struct kvm_msi, devid) == 16',
      'offsetof(struct kvm_device_attr, addr) == 16',
      'offsetof(struct vfio_irq_set, data) == 20',
      'offsetof(struct vfio_irq_info, count) == 12',
      'offsetof(struct vfio_device_info, num_irqs) == 12',
    ].map((expression) => `_Static_assert(${expression}, "layout");`);
    const includes = ['stddef.h', 'linux/kvm.h', 'linux/vfio.h'].map((name) => `#include <${name}>`);
    await writeFile(file, [...includes, ...asserts, ...sizes].join('\n'));
    await expect(run(compiler, ['-fsyntax-only', file])).resolves.toMatchObject({ stderr: '' });
  });
});

/** A port that keeps the last argument of an ioctl. */
function recording(answer: (request: number, argument: Uint8Array) => void = () => {}): {
  port: Port;
  words: () => readonly number[];
} {
  let last = new Uint8Array();
  const port: Port = {
    ...stubPort({}).port,
    ioctl(_fd, request, argument) {
      if (typeof argument === 'number') return 0;
      answer(request, argument);
      last = argument.slice();
      return 0;
    },
  };
  const words = (): readonly number[] => {
    const view = new DataView(last.buffer);
    return Array.from({ length: last.byteLength / 4 }, (_, index) => view.getUint32(index * 4, true));
  };
  return { port, words };
}

describe("what the kernel is asked, by its structures' words", () => {
  it('assigns an irqfd, with and without a resampler, and takes it back', () => {
    const { port, words } = recording();
    kvm.assignIrqfd(port, 3, { eventfd: 7, gsi: 40 });
    expect(words()).toEqual([7, 40, 0, 0, 0, 0, 0, 0]);
    kvm.assignIrqfd(port, 3, { eventfd: 7, gsi: 40, resample: 8 });
    expect(words()).toEqual([7, 40, 2, 8, 0, 0, 0, 0]);
    kvm.deassignIrqfd(port, 3, { eventfd: 7, gsi: 40 });
    expect(words()).toEqual([7, 40, 1, 0, 0, 0, 0, 0]);
  });

  it('routes pins, MSIs, and MSIs that an ITS looks up by who sends them', () => {
    const { port, words } = recording();
    kvm.setGsiRouting(port, 3, [
      { gsi: 4, kind: 'irqchip', irqchip: 2, pin: 4 },
      { gsi: 24, kind: 'msi', address: 0x1_fee0_0000n, data: 0x4021, deviceId: null },
      { gsi: 25, kind: 'msi', address: 0x808_0040n, data: 3, deviceId: 0x10 },
    ]);
    const rest = [0, 0, 0, 0];
    const expected = [
      [3, 0],
      [4, 1, 0, 0, 2, 4, 0, 0, ...rest],
      [24, 2, 0, 0, 0xfee0_0000, 1, 0x4021, 0, ...rest],
      [25, 2, 1, 0, 0x808_0040, 0, 3, 0x10, ...rest],
    ];
    expect(words()).toEqual(expected.flat());
  });

  it('signals an MSI', () => {
    const { port, words } = recording();
    kvm.signalMsi(port, 3, { address: 0x808_0040n, data: 3, deviceId: 0x10 });
    expect(words()).toEqual([0x808_0040, 0, 3, 1, 0x10, 0, 0, 0]);
  });

  it('sets eventfds vector by vector, and switches the interrupts off', () => {
    const { port, words } = recording();
    vfio.setIrqEventfds(port, 5, vfio.VFIO_PCI_IRQ.msix, 9, [12, vfio.NO_EVENTFD]);
    expect(words()).toEqual([28, 4 | 32, 2, 9, 2, 12, 0xffff_ffff]);
    vfio.disableIrqs(port, 5, vfio.VFIO_PCI_IRQ.msix);
    expect(words()).toEqual([20, 1 | 32, 2, 0, 0]);
  });

  it('reads what the kernel says of a device and its interrupts', () => {
    const { port } = recording((request, argument) => {
      const view = new DataView(argument.buffer);
      const info = request === vfio.VFIO_DEVICE_GET_INFO;
      view.setUint32(4, info ? 3 : 9, true);
      if (info) view.setUint32(8, 9, true);
      view.setUint32(12, info ? 5 : 65, true);
    });
    expect(vfio.getDeviceInfo(port, 5)).toEqual({ canReset: true, regions: 9, irqs: 5 });
    expect(vfio.getIrqInfo(port, 5, vfio.VFIO_PCI_IRQ.msix)).toEqual({ count: 65, noResize: true, eventfd: true });
  });

  it("makes a device, and gives an attribute's value by its address", () => {
    const { port, words } = recording((request, argument) => {
      if (request === kvm.KVM_CREATE_DEVICE) new DataView(argument.buffer).setUint32(4, 11, true);
    });
    expect(kvm.createKvmDevice(port, 3, kvm.KVM_DEVICE_TYPE.vfio)).toBe(11);
    kvm.setDeviceAttribute(port, 11, 1, 2n, new Uint8Array(4));
    expect(words()).toEqual([0, 1, 2, 0, 0x1000, 0]);
    kvm.setDeviceAttribute(port, 11, 4, 0, null);
    expect(words()).toEqual([0, 4, 0, 0, 0, 0]);
  });
});

describe('an eventfd', () => {
  it('gives all its signals at once, and none when it has none', () => {
    const eventfd = libcPort.eventfd();
    try {
      expect(takeEvents(libcPort, eventfd)).toBe(false);
      signalEvent(libcPort, eventfd);
      signalEvent(libcPort, eventfd);
      expect(takeEvents(libcPort, eventfd)).toBe(true);
      expect(takeEvents(libcPort, eventfd)).toBe(false);
    } finally {
      libcPort.close(eventfd);
    }
  });

  it('that is none is refused, not taken for one without signals', () => {
    expect(() => takeEvents(libcPort, -1)).toThrow('EBADF');
  });
});
