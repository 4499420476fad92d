/** Runs every one even when one of them throws; the first failure is thrown at the last. */
export function runAll(ends: Iterable<() => void>): void {
  let failure: { error: unknown } | null = null;
  for (const end of ends) {
    try {
      end();
    } catch (error) {
      failure ??= { error };
    }
  }
  if (failure !== null) throw failure.error;
}

/**
 * Undoes in reverse order what was done, once. Whoever opens, maps or registers something defers its end here at once,
 * so that a failure at any later step leaves nothing behind. (Node 20 has no DisposableStack.)
 *
 * `using scope = new Scope()` closes it at the end of the block.
 */
export class Scope {
  readonly #ends: (() => void)[] = [];

  defer(end: () => void): void {
    this.#ends.push(end);
  }

  /** Runs every end even when one of them throws; the first failure is thrown at the last. */
  close(): void {
    runAll(this.#taken());
  }

  *#taken(): Generator<() => void> {
    for (let end = this.#ends.pop(); end !== undefined; end = this.#ends.pop()) yield end;
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

/**
 * A scope whose ends may take time: each is awaited before the next one runs, so that a thread has ended before the
 * memory that it uses is unmapped.
 */
export class AsyncScope {
  readonly #ends: (() => void | Promise<void>)[] = [];

  defer(end: () => void | Promise<void>): void {
    this.#ends.push(end);
  }

  /** A scope for what ends at once. It is closed in its turn: after everything that is deferred here from now on. */
  inner(): Scope {
    const scope = new Scope();
    this.defer(() => scope.close());
    return scope;
  }

  /** Runs every end even when one of them fails; the first failure is thrown at the last. */
  async close(): Promise<void> {
    let failure: { error: unknown } | null = null;
    for (let end = this.#ends.pop(); end !== undefined; end = this.#ends.pop()) {
      try {
        await end();
      } catch (error) {
        failure ??= { error };
      }
    }
    if (failure !== null) throw failure.error;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}

/** Builds something in several steps inside a scope that is closed if a step fails. */
export function guarded<T>(build: (scope: Scope) => T): T {
  const scope = new Scope();
  try {
    return build(scope);
  } catch (error) {
    try {
      scope.close();
    } catch {
      // The failure that led here is the one to report.
    }
    throw error;
  }
}

/** Works inside a scope that is closed afterwards, also if the work fails; then the work's failure is the one thrown. */
export async function scoped<T>(work: (scope: AsyncScope) => Promise<T>): Promise<T> {
  const scope = new AsyncScope();
  let result: T;
  try {
    result = await work(scope);
  } catch (error) {
    await scope.close().catch(() => {});
    throw error;
  }
  await scope.close();
  return result;
}
