/** Files of a session, in the folder that Bochs runs in. A kept state names them too, so that any session can go on from it. */
export const sessionFiles = {
  cd: 'boot.iso',
  disk: 'usr.ext4',
  job: 'job.img',
  console: 'console.log',
  log: 'bochs.log',
  files: 'files.tar',
} as const;

export interface BochsOptions {
  /** One of `bochs --help cpu`. */
  cpu: string;
  /** MiB. */
  memory: number;
  serial: SerialPort;
}

/** Where the instance's console goes. */
export type SerialPort = { kind: 'file' } | { kind: 'terminal'; path: string };

/** Guest time passes by instructions; this many are a second. About what a host of today emulates, so that both clocks agree. */
const instructionsPerSecond = 100_000_000;

/**
 * Bochs' configuration. The display is a VNC server, the one display without a window that Debian's package has. It cannot be
 * reached, because Bochs runs without a network. slot1 is the device to pass through.
 */
export function configuration({ cpu, memory, serial }: BochsOptions): string {
  return `config_interface: textconfig
display_library: rfb, options="timeout=0"
cpu: model=${cpu}, count=1, ips=${instructionsPerSecond}, reset_on_triple_fault=0, ignore_bad_msrs=1
memory: guest=${memory}, host=${memory}
romimage: file=/usr/share/bochs/BIOS-bochs-latest, options=fastboot
vgaromimage: file=/usr/share/bochs/VGABIOS-lgpl-latest
vga: extension=vbe
pci: enabled=1, chipset=i440fx, slot1=pcivga
ata0: enabled=1, ioaddr1=0x1f0, ioaddr2=0x3f0, irq=14
ata0-master: type=cdrom, path=${sessionFiles.cd}, status=inserted
ata0-slave: type=disk, path=${sessionFiles.disk}, mode=volatile
ata1: enabled=1, ioaddr1=0x170, ioaddr2=0x370, irq=15
ata1-master: type=disk, path=${sessionFiles.job}, mode=flat
boot: cdrom
${serialLine(serial)}
port_e9_hack: enabled=1
magic_break: enabled=1
clock: sync=none, time0=utc
speaker: enabled=1, mode=none
sound: driver=dummy
log: ${sessionFiles.log}
panic: action=fatal
error: action=ignore
info: action=ignore
debug: action=ignore
`;
}

/** A configuration, also one that Bochs wrote with a state, with its console elsewhere. */
export function withSerial(text: string, serial: SerialPort): string {
  return text.replace(/^com1: .*$/m, serialLine(serial));
}

function serialLine(serial: SerialPort): string {
  return `com1: enabled=1, ${serial.kind === 'file' ? `mode=file, dev="${sessionFiles.console}"` : `mode=term, dev="${serial.path}"`}`;
}
