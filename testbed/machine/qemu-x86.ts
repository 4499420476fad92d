import type { Machine } from './machine.ts';
import { channelArguments, passthroughDevices, qemuMachine, quiet, virtioDevices, type QemuBoot } from './qemu.ts';
import { x86Kernel, x86Userland } from './x86.ts';

/**
 * An x86 instance with AMD's nested paging (SVM, NPT), emulated by QEMU's TCG. Its IOMMU is Intel's model all
 * the same: it remaps interrupts, without which VFIO would need an unsafe option. Interrupt remapping needs a split irqchip.
 */
export const x86Amd: Machine = {
  arch: 'x86-amd',
  kernel: x86Kernel,
  userland: x86Userland,
  memoryDevice: '0000:01:00.0',
  ...qemuMachine('qemu-system-x86_64', emulatorArguments),
  // QEMU's VMRUN leaves the vector of an interrupt that it has delivered (EVENTINJ) as the CPU's pending exception, and delivers it
  // once more, whatever the guest's IF says, if the CPU has to stop for another one before the guest's next exit (helper_vmrun in
  // target/i386/tcg/system/svm_helper.c, cpu_handle_interrupt in accel/tcg/cpu-exec.c, 10.0). Where there is no other CPU, none
  // makes it stop. With a thread for all CPUs, several are no faster than one. test/e2e-injected-interrupts.test.ts shows both.
  processorsForLinux: 1,
};

function emulatorArguments({ files, channels, options, append }: QemuBoot): string[] {
  return [
    quiet,
    ['-M', 'q35,kernel-irqchip=split', '-cpu', options.cpu ?? 'max,+svm,+npt'],
    // With a thread for each CPU, QEMU 10.0 now and then loses the end of a timer interrupt: bit 236 of a local APIC's
    // in-service register stays set, no timer of that CPU ever ticks again, and the instance waits for ever.
    ['-smp', String(options.processors ?? 2), '-accel', 'tcg,thread=single', '-m', `${options.memory}M`],
    ['-kernel', files.kernel, '-initrd', files.initramfs],
    // On a busy host, the kernel's check of the timer times out before the emulated timer ticks, and it panics.
    // Early at boot an emulated CPU's TSC is measured wrong by 0.1 % or so, and KVM's first idea of it comes from there. Where that differs
    // by more than this tolerance from what is measured later (default: 250), KVM leaves a vCPU's TSC multiplier at 0 (set_tsc_khz() in
    // arch/x86/kvm/x86.c, 7.3), takes its TSC for 0, and every timer of a guest expires as late as the instance is old.
    ['-append', `console=ttyS0 loglevel=5 panic=-1 no_timer_check kvm.tsc_tolerance_ppm=10000 ${append}`],
    options.iommu ? ['-device', 'intel-iommu,intremap=on'] : [],
    passthroughDevices(files),
    // The instance's own devices sit on the root bus, so that 01 to 04 hold only what is passed through.
    channelArguments('pci', channels),
    virtioDevices('pci', files),
  ].flat();
}
