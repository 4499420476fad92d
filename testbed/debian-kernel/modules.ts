/** Kernel modules: which devices one is for, and which others it needs, by what it says of itself (.modinfo). Pure. */

export interface Module {
  /** As other modules call it. */
  readonly name: string;
  /** Patterns of names of devices, PCI's and those behind them: `pci:v00001D0Fd0000EC20sv*…`, `virtio:d00000001v*`. */
  readonly aliases: readonly string[];
  /** Names of the modules that it needs. */
  readonly needs: readonly string[];
}

/** `mlx5_core` of `kernel/…/mlx5_core.ko`, `.ko.xz`; a name has `_` where its file may have `-`. */
export function moduleName(file: string): string {
  return file
    .replace(/^.*\//, '')
    .replace(/\.ko(?:\.\w+)?$/, '')
    .replaceAll('-', '_');
}

/** The section is strings, `key=value`, each ended by a zero byte (include/linux/module.h). */
export function parseModule(file: string, bytes: Uint8Array): Module {
  const text = Buffer.from(bytes).toString('latin1');
  const values = (key: string): readonly string[] =>
    [...text.matchAll(new RegExp(`(?<=\\0|^)${key}=([\\x20-\\x7e]*)(?=\\0)`, 'g'))].map(([, value = '']) => value);
  return {
    name: moduleName(file),
    aliases: values('alias').filter((alias) => /^(?:pci|virtio):[\w*]+$/.test(alias)),
    needs: values('depends')
      .flatMap((names) => names.split(',').filter((name) => name !== ''))
      .map(moduleName),
  };
}

/**
 * The module's name behind those of all that it needs, in an order in which they can be loaded.
 *
 * @param find null for a module that is built into the kernel
 */
export function loadOrder(name: string, find: (name: string) => Module | null): readonly string[] {
  const order: string[] = [];
  const visit = (one: string, above: readonly string[]): void => {
    const module = find(one);
    if (module === null || order.includes(one) || above.includes(one)) return;
    for (const needed of module.needs) visit(needed, [...above, one]);
    order.push(one);
  };
  visit(name, []);
  return order;
}

/** Lines for the guest's /init: a pattern, and the files to load for a device that it fits. */
export function modulesTable(names: readonly string[], find: (name: string) => Module | null): string {
  const lines = names.flatMap((name) => {
    const files = loadOrder(name, find).map((one) => `${one}.ko`);
    return (find(name)?.aliases ?? []).map((alias) => `${alias} ${files.join(' ')}\n`);
  });
  return lines.join('');
}
