import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { added, complaints, silencedFiles, sparseComplaints } from '../kernel-patches/tools/check/complaints.ts';
import { CheckRecord } from '../kernel-patches/tools/check/record.ts';
import {
  arm64,
  i386,
  makeTargets,
  patchTargets,
  sourceFiles,
  sparseTargets,
  x86,
} from '../kernel-patches/tools/check/targets.ts';
import type { Patch } from '../testbed/kernel/series.ts';

function patchOf(...files: string[]): Patch {
  return { name: 'p', text: files.map((file) => `--- a/${file}\n+++ b/${file}\n@@ -1 +1 @@\n-a\n+b\n`).join('') };
}

describe('what is compiled', () => {
  const series = [
    patchOf('mm/memory.c', 'include/linux/mm.h', 'arch/arm64/kvm/mmu.c', 'arch/x86/kvm/mmu/spte.c'),
    patchOf(
      'mm/memory.c',
      'virt/kvm/kvm_main.c',
      'drivers/gpu/drm/i915/gvt/kvmgt.c',
      'tools/testing/selftests/vfio/a.c',
    ),
  ];

  it('is every C file of the series once, where its architecture has it', () => {
    expect(sourceFiles(series, arm64)).toEqual(['arch/arm64/kvm/mmu.c', 'mm/memory.c', 'virt/kvm/kvm_main.c']);
    expect(sourceFiles(series, x86)).toEqual([
      'arch/x86/kvm/mmu/spte.c',
      'drivers/gpu/drm/i915/gvt/kvmgt.c',
      'mm/memory.c',
      'virt/kvm/kvm_main.c',
    ]);
  });

  it('is the folders that use changed headers, and the files outside of them', () => {
    expect(makeTargets(sourceFiles(series, arm64), arm64)).toEqual([
      'drivers/vfio/',
      'samples/vfio-mdev/',
      'arch/arm64/kvm/',
      'mm/memory.o',
    ]);
    expect(makeTargets(sourceFiles(series, i386), i386)).toEqual(i386.folders);
    expect(patchTargets(patchOf('include/linux/mm.h', 'mm/memory.c'), x86)).toEqual(['mm/memory.o']);
    expect(patchTargets(patchOf('include/linux/vfio.h'), x86)).toEqual([
      'drivers/vfio/',
      'samples/vfio-mdev/',
      'drivers/gpu/drm/i915/gvt/kvmgt.o',
    ]);
    expect(patchTargets(patchOf('virt/kvm/kvm_main.c', 'include/linux/kvm_host.h'), arm64)).toEqual([
      'arch/arm64/kvm/',
    ]);
    expect(patchTargets(patchOf('tools/testing/selftests/vfio/a.c'), arm64)).toEqual([]);
    expect(sparseTargets(sourceFiles(series, x86), x86)).toEqual([
      'arch/x86/kvm/',
      'drivers/gpu/drm/i915/gvt/kvmgt.o',
      'mm/memory.o',
    ]);
  });
});

describe('complaints', () => {
  it('are those of gcc, sparse and kernel-doc, whatever the line and however often', () => {
    const output = [
      '  CC      mm/memory.o',
      '../mm/memory.c:12:3: warning: unused variable ‘a’ [-Wunused-variable]',
      'mm/memory.c:13:3: warning: unused variable ‘a’ [-Wunused-variable]',
      'mm/memory.c:13:3: note: declared here',
      "Warning: mm/gup.c:7 function parameter 'x' not described",
      'mm/rmap.c:1:1: error: no such thing',
    ];
    expect(complaints(output)).toEqual([
      "mm/gup.c: function parameter 'x' not described",
      'mm/memory.c: unused variable ‘a’ [-Wunused-variable]',
      'mm/rmap.c: no such thing',
    ]);
  });

  it('of sparse are one for each place, with the types below, and without those of gcc', () => {
    const output = [
      '  CHECK   arch/x86/kvm/../../../virt/kvm/kvm_main.c',
      'arch/x86/kvm/../../../virt/kvm/kvm_main.c:9:1: error: too long token expansion',
      'include/linux/a.h:7:2: warning: incorrect type in argument 1 (different address spaces)',
      'mm/memory.c:12:3: warning: cast from restricted vm_fault_t',
      'include/linux/a.h:7:2:    expected void *p',
      'include/linux/a.h:7:2:    got void [noderef] __user *q',
      'include/linux/a.h:7:2: warning: incorrect type in argument 1 (different address spaces)',
      'include/linux/a.h:7:2:    expected void *p',
      'mm/memory.c:14:3: warning: cast from restricted vm_fault_t',
      'mm/memory.c:15:3: warning: unused variable ‘a’ [-Wunused-variable]',
      'mm/memory.c:15:3: note: declared here',
    ];
    const found = sparseComplaints(output);
    expect(found).toEqual([
      'include/linux/a.h: incorrect type in argument 1 (different address spaces), expected void *p, got void [noderef] __user *q',
      'mm/memory.c: cast from restricted vm_fault_t',
      'mm/memory.c: cast from restricted vm_fault_t',
      'virt/kvm/kvm_main.c: error: too long token expansion',
    ]);
    expect(silencedFiles(found, ['mm/memory.c'])).toEqual([]);
    expect(silencedFiles(found, ['virt/kvm/kvm_main.c'])).toEqual(['virt/kvm/kvm_main.c']);
    expect(silencedFiles(['mm/a.h: error: b'], [])).toEqual(['mm/a.h']);
  });

  it('are new if they were not there before, or not as often', () => {
    expect(added(['a', 'a', 'b'], ['a', 'c'])).toEqual(['a', 'b']);
    expect(added(['a'], ['a', 'a'])).toEqual([]);
  });
});

it('remembers the result of a step for the next run, and starts empty from a broken file', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'wcvmm-test-'));
  try {
    const path = join(folder, 'record.json');
    const done = { output: ['a'], seconds: 3 };
    await new CheckRecord(path).add('key', done);
    expect([await new CheckRecord(path).find('key'), await new CheckRecord(path).find('other')]).toEqual([done, null]);
    expect(await new CheckRecord(folder).find('key')).toBeNull();
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
