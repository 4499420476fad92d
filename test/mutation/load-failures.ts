import type { Reporter, RunnerTestFile, TestModule } from 'vitest/node';

/** A file that cannot be loaded is a test that fails: Stryker looks at tests alone, and would say that the mutant has survived. */
export const loadFailures: Reporter = {
  onTestModuleEnd(module) {
    const errors = [...module.errors()];
    if (errors.length === 0) return;
    const file = fileOf(module);
    file.tasks.push({
      type: 'test',
      id: `${file.id}_load`,
      name: 'is loaded',
      fullName: `${file.name} is loaded`,
      fullTestName: 'is loaded',
      file,
      mode: 'run',
      meta: {},
      timeout: 0,
      annotations: [],
      artifacts: [],
      context: Object.create(null),
      result: { state: 'fail', errors, startTime: 0, duration: 0 },
    });
  },
};

/** What Stryker looks at; vitest's types do not show it. */
function fileOf(module: TestModule): RunnerTestFile {
  return (module as TestModule & { readonly task: RunnerTestFile }).task;
}
