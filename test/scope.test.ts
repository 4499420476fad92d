import { expect, test } from 'vitest';
import { Scope, guarded } from '../common/scope.ts';

test('ends run once, last first', () => {
  const order: number[] = [];
  const scope = new Scope();
  scope.defer(() => order.push(1));
  scope.defer(() => order.push(2));
  scope.close();
  scope.close();
  expect(order).toEqual([2, 1]);
});

test('an end that fails does not keep the others from running, and is told', () => {
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

test('a build that fails undoes its steps and tells its own failure', () => {
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
