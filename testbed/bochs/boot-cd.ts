import { copyFile, mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { temporaryFolder } from '../../common/temporary.ts';
import { WcvmmError } from '../../common/errors.ts';
import { cacheRoot, contentKey, inCache, publish, sweepCache } from '../../common/cache.ts';
import { runProgram } from '../../common/program.ts';

export interface BootCd {
  kernel: string;
  initramfs: string;
  /** The kernel's command line. */
  append: string;
}

const loader = ['/usr/lib/ISOLINUX/isolinux.bin', '/usr/lib/syslinux/modules/bios/ldlinux.c32'];

/** Bochs boots no kernel by itself: a CD with ISOLINUX does. Returns its image, which is in the cache afterwards. */
export async function ensureBootCd({ kernel, initramfs, append }: BootCd, signal: AbortSignal): Promise<string> {
  const folder = join(cacheRoot(), 'boot-cd');
  // Both files are in the cache by their content.
  const image = join(folder, `${contentKey(kernel, initramfs, append)}.iso`);
  if (await inCache(image)) return image;
  const root = await temporaryFolder('cd');
  try {
    const boot = join(root, 'isolinux');
    await mkdir(boot);
    for (const file of loader) await copyFile(file, join(boot, file.slice(file.lastIndexOf('/') + 1)));
    await copyFile(kernel, join(root, 'kernel'));
    await copyFile(initramfs, join(root, 'initrd'));
    await writeFile(
      join(boot, 'isolinux.cfg'),
      `DEFAULT linux\nPROMPT 0\nTIMEOUT 0\nLABEL linux\nKERNEL /kernel\nAPPEND initrd=/initrd ${append}\n`,
    );
    const isolinux = [
      '-b',
      'isolinux/isolinux.bin',
      '-c',
      'isolinux/boot.cat',
      '-no-emul-boot',
      '-boot-load-size',
      '4',
      '-boot-info-table',
    ];
    await publish(image, (temporary) =>
      runProgram('xorriso', ['-as', 'mkisofs', '-quiet', '-o', temporary, ...isolinux, root], {
        signal,
        failure: (tail, cause) =>
          new WcvmmError('E_TESTBED', `xorriso could not make the boot CD; testbed/setup installs it.\n${tail}`, {
            cause,
          }),
      }),
    );
    await sweepCache(folder, 6);
  } finally {
    await rm(root, { recursive: true, force: true });
  }
  return image;
}
