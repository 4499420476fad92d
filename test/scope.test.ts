import { describe, expect, test } from 'vitest';
import { AsyncScope, Scope, guarded, scoped } from '../common/scope.ts';

test('ends run once, last first', () => {
  const order: number[] = [];
  const scope = new Scope();
  scope.defer(() => order.push(1));
  scope.defer(() => order.push(2));
  scope.close();
  scope.close();
  expect(order).toEqual([2, 1]);
});

test('an end that fails does not keep the others from running, and is reported', () => {
  let ran = false;
  const scope = new Scope();
  scope.defer(() => {
    ran = true;
  });
  scope.defer(() => {
    throw new Error('first');
  });
  expect(() => scope.close()).toThrow('first');
  expect(ran).toBe(true);
});

test('a build that fails undoes its steps and reports its own failure', () => {
  let undone = 0;
  const build = (): never =>
    guarded((scope) => {
      scope.defer(() => {
        undone += 1;
        throw new Error('while undoing');
      });
      throw new Error('step two');
    });
  expect(build).toThrow('step two');
  expect(undone).toBe(1);
});

test('"using" closes a scope at the end of its block', () => {
  const order: string[] = [];
  {
    using scope = new Scope();
    scope.defer(() => order.push('closed'));
    order.push('used');
  }
  expect(order).toEqual(['used', 'closed']);
});

function later(what: () => void): () => Promise<void> {
  return async () => {
    await Promise.resolve();
    what();
  };
}

describe('ends that take time', () => {
  test('each is over before the next one starts, last first', async () => {
    const order: string[] = [];
    const scope = new AsyncScope();
    const inner = scope.inner();
    inner.defer(() => order.push('unmapped'));
    scope.defer(later(() => order.push('thread ended')));
    await scope.close();
    await scope.close();
    expect(order).toEqual(['thread ended', 'unmapped']);
  });

  test('one that fails does not keep the others from running, and the first failure is thrown', async () => {
    const ran: string[] = [];
    const failing = (name: string) => () => {
      ran.push(name);
      throw new Error(name);
    };
    const scope = new AsyncScope();
    scope.inner().defer(failing('unmap'));
    scope.defer(later(failing('thread')));
    scope.defer(() => {
      ran.push('last');
    });
    await expect(scope.close()).rejects.toThrow('thread');
    expect(ran).toEqual(['last', 'thread', 'unmap']);
  });

  test('"await using" closes one', async () => {
    const order: string[] = [];
    {
      await using scope = new AsyncScope();
      scope.defer(later(() => order.push('closed')));
      order.push('used');
    }
    expect(order).toEqual(['used', 'closed']);
  });

  test('scoped work returns its result once everything is closed', async () => {
    let closed = false;
    const work = scoped(async (scope) => {
      scope.defer(
        later(() => {
          closed = true;
        }),
      );
      return Promise.resolve('result');
    });
    await expect(work).resolves.toBe('result');
    expect(closed).toBe(true);
  });

  test('work that fails reports its own failure, not one of closing, and closing is complete', async () => {
    const ran: string[] = [];
    const work = scoped((scope) => {
      scope.defer(() => void ran.push('unmapped'));
      scope.defer(() => Promise.reject(new Error('closing')));
      return Promise.reject(new Error('working'));
    });
    await expect(work).rejects.toThrow('working');
    expect(ran).toEqual(['unmapped']);
  });

  test('closing that fails after work that did not is reported', async () => {
    const work = scoped((scope) => {
      scope.defer(() => Promise.reject(new Error('closing')));
      return Promise.resolve();
    });
    await expect(work).rejects.toThrow('closing');
  });
});
