/**
 * Undoes in reverse order what was done, once. Whoever opens, maps or registers something defers its end here at once,
 * so that a failure at any later step leaves nothing behind. (Node 20 has no DisposableStack.)
 */
export class Scope {
  readonly #ends: (() => void)[] = [];

  defer(end: () => void): void {
    this.#ends.push(end);
  }

  /** Runs every end even when one of them throws; the first failure is thrown at the last. */
  close(): void {
    let failure: { error: unknown } | null = null;
    for (let end = this.#ends.pop(); end !== undefined; end = this.#ends.pop()) {
      try {
        end();
      } catch (error) {
        failure ??= { error };
      }
    }
    if (failure !== null) throw failure.error;
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
      // The failure that led here is the one to tell.
    }
    throw error;
  }
}
