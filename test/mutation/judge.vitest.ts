import { groupOf } from './config.ts';

// Those that bring the command line with them are left out: to load it takes longer than the tests.
export default groupOf(
  /^(?:report-(?:verdict|worth|count)|verify-(?:contents|coverage|timing|fault-forwarding|writes|plan|judge)|guest-records|x86-accesses)$/,
);
