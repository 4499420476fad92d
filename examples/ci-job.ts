/**
 * A CI job: is this machine fit, and does its kernel give guests what is asked for? Exit code as `wcvmm verify`.
 * node ci-job.js 0000:01:00.0
 */
import { diagnose, exitCodeOf, libcPort, loadGuest, requireArchitecture, verify } from 'wcvmm';

const device = process.argv[2] ?? '0000:01:00.0';
const { verify: would } = diagnose(libcPort, { device, source: 'cookie', iommu: 'auto' });
if (would.runs) {
  const arch = requireArchitecture();
  const report = await verify(libcPort, arch, {
    command: 'verify',
    choice: {
      source: 'cookie',
      device,
      iommu: 'auto',
      maps: ['bar2:0-64K=device', 'bar2:64K-128K=wc'],
      enforce: false,
    },
    image: await loadGuest(arch.name),
    timeoutMs: 60_000,
    allowWrites: false,
    overrides: [],
  });
  for (const { bar, attribute, stage2 } of report.windows)
    console.log(`bar${bar} ${attribute}: stage 2 ${stage2.programmed ?? 'not shown'}`);
  console.log(`${report.summary.match} checks match, ${report.summary.mismatch} do not`);
  process.exitCode = exitCodeOf(report);
} else {
  console.log(`not fit: ${would.blockedBy.join(', ')}`);
  process.exitCode = 2;
}
