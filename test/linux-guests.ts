/** Where Linux guests are tested end to end. */
interface Instance {
  readonly arch: 'arm64' | 'x86-amd';
  /** Of its kernel. */
  readonly kernelArch: 'arm64' | 'x86';
}

export const INSTANCES: readonly Instance[] = [
  { arch: 'arm64', kernelArch: 'arm64' },
  { arch: 'x86-amd', kernelArch: 'x86' },
];
