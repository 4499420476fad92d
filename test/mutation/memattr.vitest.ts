import { groupOf } from './config.ts';

// memattr-every-cell is left out: it takes seconds where code is instrumented, for each of two thousand mutants.
export default groupOf(/^(?:memattr-(?!every-cell).*|silicon|x86-accesses)$/);
