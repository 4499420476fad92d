import { groupOf } from './config.ts';

export default groupOf(/^(?:report-(?:worth|count|proof|exit)|verify-(?:contents|coverage|timing)|x86-accesses)$/);
