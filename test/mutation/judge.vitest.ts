import { groupOf } from './config.ts';

// Those that make whole reports where they are loaded are left out: that takes longer than the tests.
export default groupOf(
  /^(?:report-verdict|verify-(?:evidence|limits|run-checks|coverage|contents|timing|plan|override)|guest-records|x86-accesses)$/,
);
